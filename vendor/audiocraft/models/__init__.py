"""The models, under the original's names."""

from audiocraft.models.compression import CompressionModel
from audiocraft.models.encodec import EncodecModel
from audiocraft.models.flow import FlowModel
from audiocraft.models.lm import LMModel
from audiocraft.models.melodyflow import MelodyFlow
from audiocraft.models.musicgen import MusicGen

__all__ = ["CompressionModel", "EncodecModel", "FlowModel", "LMModel", "MelodyFlow", "MusicGen"]
