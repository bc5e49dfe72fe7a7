"""The models, under the original's names."""

from audiocraft.models.flow import FlowModel
from audiocraft.models.melodyflow import MelodyFlow

__all__ = ["FlowModel", "MelodyFlow"]
