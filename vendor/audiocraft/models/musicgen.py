"""MusicGen: text to music, and music that goes on, over a codec and a language model.

Copet et al., "Simple and Controllable Music Generation", 2023.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from audiocraft.data.resampling import convert_prompt
from audiocraft.models import configurations, loaders
from audiocraft.models.compression import CompressionModel
from audiocraft.models.genmodel import BaseGenModel
from audiocraft.models.lm import LMModel
from audiocraft.models.solvers import OnStep
from audiocraft.models.stereo import InterleaveStereoCompressionModel
from audiocraft.models.stretches import Run, stretches
from audiocraft.modules.conditioners import ConditioningAttributes, WavCondition
from audiocraft.modules.sampling import Choice

MELODY = "self_wav"
"""The attribute that a melody is."""

SHORT_NAMES = ("small", "medium", "large", "melody")

Result = Tensor | tuple[Tensor, Tensor]

_ROUNDING = 1e-6
"""Of a number of frames: 0.58 s at 50 Hz are 29 of them, though the product is a little less."""


class MusicGen(BaseGenModel):
    """The codec, the language model and the choices of the next call."""

    lm: LMModel
    compression_model: CompressionModel

    def __init__(
        self,
        name: str,
        compression_model: CompressionModel,
        lm: LMModel,
        max_duration: float | None = None,
    ) -> None:
        """Put the parts together; `max_duration` is the window in seconds.

        Without one it is what the language model was made for. The codec is for one channel where
        the model plays two: it is applied to each.

        Raises:
            ValueError: the codec's tokens are not the language model's.
        """
        codec, window = compression_model, max_duration
        if lm.cfg is not None:
            window = window or configurations.window_of(lm.cfg)
            if not isinstance(codec, InterleaveStereoCompressionModel):
                codec = loaders.get_wrapped_compression_model(codec, lm.cfg)
        super().__init__(name, codec, lm, window)
        if (codec.num_codebooks, codec.cardinality) != (lm.n_q, lm.card):
            raise ValueError(
                f"the codec has {codec.num_codebooks} codebooks of {codec.cardinality} tokens,"
                f" the language model {lm.n_q} of {lm.card}"
            )
        self.extend_stride = 0.0
        self.set_generation_params(duration=min(15.0, self.max_duration))

    @classmethod
    def get_pretrained(
        cls,
        name: str | Path = "facebook/musicgen-melody",
        device: str | torch.device | None = None,
        *,
        text_encoder: str | Path | None = None,
    ) -> Self:
        """Load from a directory or a hub id; without a device the first card, else the CPU.

        `small`, `medium`, `large` and `melody` are the ids of facebook. `text_encoder` is the
        directory of the T5 encoder; without one it is looked for under the checkpoint's name for
        it when the first text comes.

        Raises:
            InvalidCheckpoint: a file is damaged, of another kind, or of an unsupported shape.
        """
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        place = f"facebook/musicgen-{name}" if name in SHORT_NAMES else name
        lm = loaders.load_lm_model(place, str(device))
        codec = loaders.load_compression_model(place, str(device))
        if text_encoder is not None:
            lm.condition_provider.description.use_encoder(text_encoder)
        return cls(str(place), codec, lm)

    def set_generation_params(  # noqa: PLR0913, PLR0917 - the original's signature
        self,
        use_sampling: bool = True,  # noqa: FBT001, FBT002
        top_k: int = 250,
        top_p: float = 0.0,
        temperature: float = 1.0,
        duration: float = 30.0,
        cfg_coef: float = 3.0,
        cfg_coef_beta: float | None = None,
        two_step_cfg: bool = False,  # noqa: FBT001, FBT002
        extend_stride: float = 18.0,
    ) -> None:
        """Choose how the next call draws tokens, and how many seconds it makes.

        Beyond the window (`max_duration`) each call of the language model begins `extend_stride`
        seconds later than the one before, which only then has to be shorter than the window.

        Raises:
            ValueError: a choice cannot be.
        """
        if self._frames(duration) < 1:
            raise ValueError(f"a duration of {duration} s cannot be generated")
        overlaps = self._frames(extend_stride) > 0 and extend_stride < self.max_duration
        if duration > self.max_duration and not overlaps:
            raise ValueError(
                f"the extend_stride must be above 0 and below the window of {self.max_duration} s"
            )
        if cfg_coef_beta is not None:
            raise ValueError("cfg_coef_beta goes with style conditioning, which is not supported")
        choice = Choice(use_sampling=use_sampling, temp=temperature, top_k=top_k, top_p=top_p)
        self.duration, self.extend_stride = duration, extend_stride
        self.generation_params = {
            "use_sampling": choice.use_sampling,
            "temp": choice.temp,
            "top_k": choice.top_k,
            "top_p": choice.top_p,
            "cfg_coef": cfg_coef,
            "two_step_cfg": two_step_cfg,
        }

    def generate(
        self,
        descriptions: Sequence[str | None],
        progress: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        return_tokens: bool = False,  # noqa: FBT001, FBT002
        *,
        generator: torch.Generator | None = None,
        on_step: OnStep | None = None,
    ) -> Result:
        """Return one waveform `[B, C, N]` a description; with its tokens `[B, K, T]` if asked.

        An empty description or None guides nothing. `generator` draws, by default that of the
        process and device. `on_step(done, total)` counts frames over all of the duration and may
        raise to stop; the callback of `set_custom_progress_callback` counts as the original does,
        and its total is that of one call of the language model.

        Raises:
            ValueError: there is no description.
        """
        attributes = self._attributes(descriptions)
        run = self._run(progress=progress, on_step=on_step, generator=generator)
        return self._played(attributes, None, run, return_tokens=return_tokens)

    def generate_unconditional(
        self,
        num_samples: int,
        progress: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        return_tokens: bool = False,  # noqa: FBT001, FBT002
        *,
        generator: torch.Generator | None = None,
        on_step: OnStep | None = None,
    ) -> Result:
        """Return waveforms that follow no description; more in `generate`."""
        texts = [None] * num_samples
        return self.generate(texts, progress, return_tokens, generator=generator, on_step=on_step)

    def generate_continuation(
        self,
        prompt: Tensor,
        prompt_sample_rate: int,
        descriptions: Sequence[str | None] | None = None,
        progress: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        return_tokens: bool = False,  # noqa: FBT001, FBT002
        *,
        generator: torch.Generator | None = None,
        on_step: OnStep | None = None,
    ) -> Result:
        """Return waveforms that begin with a prompt `[B, C, N]` or `[C, N]` and go on.

        The duration counts the prompt, which comes back as the codec plays it. Of one longer than
        the window its end is heard, if the duration is longer still. More in `generate`.

        Raises:
            ValueError: the prompt has another shape, is not shorter than the duration, or there
                are not as many descriptions.
        """
        if prompt.dim() == 2:
            prompt = prompt[None]
        if prompt.dim() != 3 or not prompt.numel():
            raise ValueError(f"a prompt is [B, C, N], not {list(prompt.shape)}")
        words = [None] * len(prompt) if descriptions is None else descriptions
        if len(words) != len(prompt):
            raise ValueError(f"{len(words)} descriptions cannot be those of {len(prompt)} prompts")
        attributes = self._attributes(words)
        run = self._run(progress=progress, on_step=on_step, generator=generator)
        codes = self.encode_prompt(prompt, prompt_sample_rate)
        return self._played(attributes, codes, run, return_tokens=return_tokens)

    def generate_with_chroma(
        self,
        descriptions: Sequence[str | None],
        melody_wavs: Tensor | Sequence[Tensor | None],
        melody_sample_rate: int,
        progress: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        return_tokens: bool = False,  # noqa: FBT001, FBT002
        *,
        generator: torch.Generator | None = None,
        on_step: OnStep | None = None,
    ) -> Result:
        """Return waveforms that follow descriptions and melodies `[B, C, N]`, `[C, N]` or a list.

        Of a melody the pitch classes are heard, of all of it: voices are not separated first, as
        the original does. None in a list is no melody. More in `generate`.

        Raises:
            ValueError: the model hears no melodies, or they have another shape or number.
        """
        if MELODY not in self.lm.condition_provider.wav_conditions:
            raise ValueError("this model hears no melodies; musicgen-melody does")
        melodies = _melodies(melody_wavs)
        if len(melodies) != len(descriptions):
            raise ValueError(
                f"{len(descriptions)} descriptions cannot be those of {len(melodies)} melodies"
            )
        rate, channels = self.sample_rate, self.audio_channels
        heard = [
            None
            if wav is None
            else convert_prompt(wav.to(self.device), melody_sample_rate, rate, channels)
            for wav in melodies
        ]
        attributes = self._attributes(descriptions, heard)
        run = self._run(progress=progress, on_step=on_step, generator=generator)
        return self._played(attributes, None, run, return_tokens=return_tokens)

    @torch.no_grad()
    def encode_prompt(self, prompt: Tensor, sample_rate: int) -> Tensor:
        """Return the tokens `[B, K, T]` of a prompt `[B, C, N]` at any rate."""
        wav = convert_prompt(
            prompt.to(self.device).float(), int(sample_rate), self.sample_rate, self.audio_channels
        )
        tile = self._tile(wav.shape[-1] / self.sample_rate)
        codes, _ = self.compression_model.encode(wav, tile_frames=tile)
        return codes

    @torch.no_grad()
    def generate_audio(self, gen_tokens: Tensor) -> Tensor:
        """Return the waveform `[B, C, N]` of tokens `[B, K, T]`.

        Raises:
            ValueError: the tokens have another shape.
        """
        if gen_tokens.dim() != 3:
            raise ValueError(f"tokens are [B, K, T], not {list(gen_tokens.shape)}")
        tile = self._tile(gen_tokens.shape[-1] / self.frame_rate)
        return self.compression_model.decode(gen_tokens, None, tile_frames=tile)

    @torch.no_grad()
    def _played(
        self,
        attributes: Sequence[ConditioningAttributes],
        codes: Tensor | None,
        run: Run,
        *,
        return_tokens: bool,
    ) -> Result:
        """Return the waveform that begins with some codes `[B, K, T]`, and its tokens if asked."""
        known = 0 if codes is None else codes.shape[-1]
        total, window = self._frames(self.duration), self._frames(self.max_duration)
        if known >= total:
            raise ValueError(f"a prompt of {known} frames leaves nothing of {total} to generate")
        stride = self._frames(self.extend_stride)
        for stretch in stretches(total, window=window, stride=stride, known=known):
            heard = None if codes is None else codes[..., stretch.offset :]
            made = self.lm.generate(
                heard if stretch.given else None,
                [self._from(each, stretch.offset) for each in attributes],
                max_gen_len=stretch.length,
                callback=run.within(stretch, known, total),
                generator=run.generator,
                **self.generation_params,
            )
            fresh = made[..., stretch.given :]
            codes = fresh if codes is None else torch.cat((codes, fresh), dim=-1)
        assert codes is not None  # noqa: S101 - there is at least one stretch
        audio = self.generate_audio(codes)
        return (audio, codes) if return_tokens else audio

    def _attributes(
        self,
        descriptions: Sequence[str | None],
        melodies: Sequence[Tensor | None] | None = None,
    ) -> list[ConditioningAttributes]:
        if not len(descriptions):
            raise ValueError("there is nothing to generate: no description, be it empty")
        attributes = [ConditioningAttributes({"description": text}) for text in descriptions]
        if MELODY in self.lm.condition_provider.wav_conditions:
            for each, wav in zip(attributes, melodies or [None] * len(attributes), strict=True):
                each.wav[MELODY] = self._melody(wav)
        return attributes

    def _melody(self, wav: Tensor | None) -> WavCondition:
        """Return the condition of a waveform `[C, N]`; a single sample stands for none."""
        nothing = torch.zeros(1, 1, device=self.device)
        heard = nothing if wav is None else wav
        length = 0 if wav is None else wav.shape[-1]
        return WavCondition(
            wav=heard[None],
            length=torch.tensor([length], device=self.device),
            sample_rate=[self.sample_rate],
        )

    def _from(self, attributes: ConditioningAttributes, offset: int) -> ConditioningAttributes:
        """Return what a call hears that begins at a frame: a melody goes round, as long as it."""
        melody = attributes.wav.get(MELODY)
        if melody is None or not int(melody.length) or self.duration <= self.max_duration:
            return attributes
        first = int(offset / self.frame_rate * self.sample_rate)
        length = int(self.max_duration * self.sample_rate)
        positions = torch.arange(first, first + length, device=self.device)
        wav = melody.wav[..., positions % int(melody.length)]
        turned = melody._replace(wav=wav, length=torch.full_like(melody.length, length))
        return ConditioningAttributes(attributes.text, {MELODY: turned})

    def _run(
        self, *, progress: bool, on_step: OnStep | None, generator: torch.Generator | None
    ) -> Run:
        own = self._progress_callback
        bar = self._on_step(progress=progress and own is None)
        follow = bar if own is None else _nothing
        return Run(on_step=on_step or follow, on_token=own, generator=generator)

    def _tile(self, seconds: float) -> int | None:
        """Return how many frames the codec works on at a time: memory grows no further."""
        return None if seconds <= self.max_duration else self._frames(self.max_duration)

    def _frames(self, seconds: float) -> int:
        return int(seconds * self.frame_rate + _ROUNDING)


def _melodies(wavs: Tensor | Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return one waveform `[C, N]` or None a sample.

    Raises:
        ValueError: one has another shape.
    """
    if isinstance(wavs, Tensor) and wavs.dim() == 2:
        wavs = wavs[None]
    melodies = list(wavs)
    for wav in melodies:
        if wav is not None and (wav.dim() != 2 or wav.shape[-1] < 2):
            raise ValueError(f"a melody is [C, N], not {list(wav.shape)}")
    return melodies


def _nothing(done: int, total: int) -> None:
    """Ignore progress."""
