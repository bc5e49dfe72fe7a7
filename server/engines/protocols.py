"""What an engine may offer: one protocol a capability, implemented by the engines that list it.

Engines get `on_step` and know nothing else of jobs. `on_step` may raise to stop the work: a
`BaseException` that no engine may catch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from server.media.clip import Clip
from server.media.key import Key
from server.media.sheet import Sheet
from server.media.window import Window
from variations import Variation

OnStep = Callable[[int, int], None]
"""Called as `on_step(done, total)` between steps; `done` never falls, `total` never changes."""

OnPreview = Callable[[Sequence[Clip]], None]
"""Called once at most, at about 60 % of the work, with one unfinished clip a brief, in order."""


def tell_nobody(done: int, total: int) -> None:
    """Be the `on_step` where nobody follows."""


Layer = Literal["pitched", "drums", "vocals"]
"""What a source is made of, as far as an engine can tell it apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartChoice:
    """What is wanted of one part of an arrangement.

    Attributes:
        mute: it is not heard.
        seed: what is random in it is drawn from this instead of the brief's seed: it is rolled
            again, and no other part changes.
        gain_db: louder or softer than the arrangement has it.
    """

    mute: bool = False
    seed: int | None = None
    gain_db: float = 0.0


_NO_PARTS: Mapping[str, PartChoice] = MappingProxyType({})
_NO_LAYERS: Mapping[Layer, float] = MappingProxyType({})
_NO_STEMS: Mapping[str, Clip] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What the musician asked for.

    Attributes:
        variation: the preset, or None for a free prompt without one.
        prompt: the words to follow; replaces the preset's own when it came from the musician.
        is_custom: whether `prompt` came from the musician.
        flowstep: in (0, 1]; pivot of an edit. Higher stays closer to the source, 1.0 is identity.
        strength: in [0, 1]; the arranger's clear name for how much changes. None: from `flowstep`.
        solver: `euler` or `midpoint`.
        steps: solver steps, or None for the preset's.
        seed: what is random is drawn from it alone.
        bpm: tempo the DAW knows, as a hint.
        keeps_groove: of an inpainting, whether what was in the windows lends its groove.
        key: key the DAW knows, as a hint.
        keep_drums: True leaves the source's strokes in place and adds no kit, False replaces them;
            None leaves it to the preset.
        layers: strength of single layers, where it differs from `strength`; 0 keeps the source's.
        parts: choices for parts by name.
        wants_stems: whether each part is wanted as a sound of its own.
    """

    variation: Variation | None
    prompt: str
    is_custom: bool = False
    flowstep: float = 0.12
    strength: float | None = None
    solver: str = "euler"
    steps: int | None = None
    seed: int = 0
    bpm: float | None = None
    keeps_groove: bool = False
    key: Key | None = None
    keep_drums: bool | None = None
    layers: Mapping[Layer, float] = field(default_factory=lambda: _NO_LAYERS)
    parts: Mapping[str, PartChoice] = field(default_factory=lambda: _NO_PARTS)
    wants_stems: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a language model draws its tokens; an engine without one has no use for it.

    Attributes:
        model: the weights to play with, by name; empty for the engine's own choice.
        top_k: how many of the likeliest tokens are drawn from; 0 for all.
        top_p: the share of probability that is drawn from; 0 leaves the choice to `top_k`.
        temperature: above 0; higher is wilder.
        cfg_coef: how strongly the words guide; 1 does not guide.
    """

    model: str = ""
    top_k: int = 250
    top_p: float = 0.0
    temperature: float = 1.0
    cfg_coef: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """What an engine played.

    Attributes:
        clip: the sound; its length is the capability's to say; one or two channels.
        heard: JSON-able facts about the source (`bpm`, `key`, `chords`, …); empty if none is heard.
        understood: words of the prompt that had an effect.
        ignored: words of the prompt that had none.
        guessed: the preset taken as a guess where nothing was understood, or None.
        notices: sentences the musician should read.
        model: who made it, for the recipe: name, revision, checksum, device, precision, as far as
            the engine has them.
        made: JSON-able facts of how it was made, for the report: what was computed, what shared.
        sheet: the notes that were played, None of an engine that knows no notes.
        stems: the parts as sounds of the clip's length, rate and channels, by name; together they
            are the clip. Empty unless they were wanted and the engine has parts.
    """

    clip: Clip
    heard: Mapping[str, Any] = field(default_factory=dict)
    understood: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    guessed: str | None = None
    notices: tuple[str, ...] = ()
    model: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    sheet: Sheet | None = None
    stems: Mapping[str, Clip] = field(default_factory=lambda: _NO_STEMS)


class Transformation(Rendition):
    """The result of a transform: length and rate are the source's."""

    __slots__ = ()


class Transforms(Protocol):
    """Plays the same music with something else."""

    def transform(
        self,
        clip: Clip,
        briefs: Sequence[Brief],
        *,
        on_step: OnStep,
        on_preview: OnPreview | None = None,
    ) -> list[Transformation]:
        """Return the same music in other voices, one result a brief, in order.

        Each result has exactly the clip's length and rate. What does not depend on the brief is
        done once for all of them, and a result is the same whichever briefs stand beside it. An
        engine without previews never calls `on_preview`.

        Raises:
            errors.EngineFailed: the engine could not do it, with a sentence for the musician.
        """
        ...


class Inpainting(Rendition):
    """One take of an inpainting: length and rate are the source's.

    What the clip holds outside the windows is the engine's guess at the source there, of use for
    joining alone.
    """

    __slots__ = ()


class Inpaints(Protocol):
    """Plays something else in windows of a clip, so that it belongs to the music around them."""

    def inpaint(
        self,
        clip: Clip,
        windows: Sequence[Window],
        brief: Brief,
        *,
        takes: int,
        on_step: OnStep,
    ) -> list[Inpainting]:
        """Return takes of the clip with something else in the windows.

        The windows are in samples of the clip, in order, without overlap; what is in them is not
        heard, unless the brief asks for its groove. Take k is the one of the seed `brief.seed + k`,
        whatever the number of takes.

        Raises:
            errors.InvalidInput: the windows are longer than the engine can do; names `windows`.
            errors.EngineFailed: the engine could not do it, with a sentence for the musician.
        """
        ...


class Continuation(Rendition):
    """Music that goes on, or music from nothing.

    Of a continuation the clip begins with the engine's guess at what it was given, of use for
    joining alone, of exactly that length; then comes what is new. Its rate is that of what was
    given, or the engine's own.
    """

    __slots__ = ()


class Continues(Protocol):
    """Goes on where music ends."""

    def continue_music(
        self,
        clip: Clip,
        brief: Brief,
        sampling: Sampling,
        *,
        seconds: float,
        on_step: OnStep,
        earlier: Clip | None = None,
    ) -> Continuation:
        """Return the clip and at least `seconds` more of the same music.

        `earlier` is what came right before the clip, of the same rate and channels: an engine that
        writes down what it hears knows chords and bars better with it, and others have no use for
        it. Times in `heard` count from its start. The words of the brief may be empty. `on_step` is
        called at least every 50 tokens.

        Raises:
            errors.InvalidInput: it is longer than the engine can do, names `seconds`; or there are
                no such weights, names `model`.
            errors.EngineFailed: the engine could not do it, with a sentence for the musician.
        """
        ...


class Generates(Protocol):
    """Makes music from words alone."""

    def generate(
        self, brief: Brief, sampling: Sampling, *, seconds: float, on_step: OnStep
    ) -> Continuation:
        """Return at least `seconds` of music; everything else is as in `Continues`."""
        ...
