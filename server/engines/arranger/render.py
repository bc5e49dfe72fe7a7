"""From a score to sound: every part, the kit, the halo and the bus effects in one stereo mix.

`Orchestra` holds what is worth keeping between pieces: the open sound bank and its decoded samples.
Everything random is drawn from the seed and the part's name, so parts do not depend on each other
and equal arguments give equal bits. Knows scores; knows nothing of clips, loudness or the source's
own sound.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from server.engines.arranger import drumkits, effects
from server.engines.arranger.abreast import Abandoned, in_order
from server.engines.arranger.effects import Setting
from server.engines.arranger.filters import RATE, passed
from server.engines.arranger.halo import halo
from server.engines.arranger.players import player_of
from server.engines.arranger.sampler import Sampler
from server.engines.arranger.score import DrumHit, Heard, Part, Score
from server.engines.arranger.soundfont import SoundFont
from server.engines.protocols import OnStep
from server.media.clip import Samples
from variations.parts import DRUMS, HALO
from variations.schema import Drums

_TAIL_SECONDS = 2.0
"""Effects see this much beyond the end, so that nothing is cut while they ring."""

_PART_LEVEL = 0.5
_NOTES_A_STEP = 8
_EDGE_SAMPLES = 176
_RUMBLE_HERTZ = 15.0
_PERCUSSION_BANK = 128
_BANK_DRUM_LEVEL = 1.8
_BANK_CYMBAL_LEVEL = 0.7
_LONGEST_LEAD = round(0.04 * RATE)
_LEAD_LEVEL = 0.03
_SOFTENED = 44
_SOFT_START = np.linspace(0.0, 1.0, _SOFTENED, dtype=np.float32)


Stage = Callable[[Samples], Samples]
"""One effect with all that it depends on settled."""


@dataclass(frozen=True, slots=True, eq=False)
class Bus:
    """What a sum of sounds went through, for each of them.

    Attributes:
        stages: the effects in order, and then what makes `[2, N]` of `[2, N + tail]`.
    """

    stages: tuple[Stage, ...]

    def passed(self, stem: Samples) -> Samples:
        """Return a dry stem `[2, N + tail]` as it is in the mix, `[2, N]`."""
        for stage in self.stages:
            stem = stage(stem)
        return stem


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """A rendered score at 44.1 kHz.

    Attributes:
        mix: `[2, N]` with effects, N = round(seconds × 44100).
        stems: `[2, N + tail]` of each part by name, dry; the kit as "drums", the sustain layer as
            "halo". Empty unless asked for.
        bus: what the stems went through together.
    """

    mix: Samples
    stems: Mapping[str, Samples]
    bus: Bus


class Orchestra:
    """Plays scores with a sound bank, or with synthesized voices alone.

    Raises:
        errors.EngineFailed: the sound bank cannot be read.
    """

    def __init__(self, sound_bank: Path | None) -> None:
        self._sampler = None if sound_bank is None else Sampler(SoundFont(sound_bank))

    def render(
        self,
        score: Score,
        heard: Heard,
        *,
        seed: int,
        on_step: OnStep,
        keep_stems: bool = False,
    ) -> Rendering:
        """Return the score as sound.

        `on_step(done, total)` is called every few notes and between effects, so that a job can be
        stopped within a fraction of a second.
        """
        length = round(score.seconds * RATE)
        steps = _Steps(on_step, _total_steps(score))
        dry = _Sum(length + round(_TAIL_SECONDS * RATE), score, keep_stems=keep_stems)
        self._add_layers(dry, score, seed, steps)
        self._add_halo(dry, score, heard, steps)
        setting = _setting(score, heard, seed)
        stages = _through_effects(dry, score, setting, steps, keep_wholes=keep_stems)
        ended = partial(_ended, length=length)
        dry.go_through(ended)
        return Rendering(dry.mix, dry.stems, Bus((*stages, ended)))

    def _add_layers(self, dry: "_Sum", score: Score, seed: int, steps: "_Steps") -> None:
        """Add the parts and the kit, in order; two are played at a time."""
        layers = [each for each in self._layers(score, seed, steps) if dry.wants(each[0])]
        played = in_order(
            (partial(dry.played, play) for _, play in layers),
            tell=steps.tell,
            abandon=steps.abandon,
        )
        for (name, _), layer in zip(layers, played, strict=True):
            dry.add(name, layer)

    def _layers(
        self, score: Score, seed: int, steps: "_Steps"
    ) -> Iterator[tuple[str, Callable[[Samples], None]]]:
        """Yield each layer's name and what adds it to a mix."""
        for part in score.parts:
            yield part.voice.name, partial(self._play, part, score, seed, steps)
        if score.drums is not None:
            yield DRUMS, partial(self._drum, score.drums, score, seed, steps)

    def _play(self, part: Part, score: Score, seed: int, steps: "_Steps", mix: Samples) -> None:
        """Add one part to the mix."""
        random = _random(part.voice.name, score.choices.seed_of(part.voice.name, seed))
        gain = _PART_LEVEL * 10.0 ** (part.voice.gain_db / 20.0)
        player = player_of(part.voice, self._sampler, random, score)
        for number, (start_seconds, wave) in enumerate(player(part.notes)):
            if number % _NOTES_A_STEP == 0:
                steps.count()
            place(mix, wave, start_seconds, gain=gain, pan=part.voice.pan)

    def _drum(self, drums: Drums, score: Score, seed: int, steps: "_Steps", mix: Samples) -> None:
        """Add the kit to the mix. Equal strokes sound equal and are made once."""
        made: dict[tuple[str, int], Samples] = {}
        seed = score.choices.seed_of(DRUMS, seed)
        gain = 10.0 ** (drums.gain_db / 20.0)
        for number, hit in enumerate(score.hits):
            if number % _NOTES_A_STEP == 0:
                steps.count()
            loudness = max(1, round(20 * hit.velocity))
            if (hit.kind, loudness) not in made:
                made[hit.kind, loudness] = self._stroke(drums.kit, hit, score.kick_root, seed)
            pan = drumkits.PANS.get(hit.kind, 0.0)
            place(mix, made[hit.kind, loudness], hit.start_seconds, gain=gain, pan=pan)

    def _stroke(self, kit: str, hit: DrumHit, root: int | None, seed: int) -> Samples:
        velocity = min(max(1, round(20 * hit.velocity)) / 20, 1.0)
        in_bank = drumkits.BANK_STROKES.get(kit)
        if in_bank is not None and self._sampler is not None:
            program, key = in_bank[hit.kind]
            if self._sampler.soundfont.has(_PERCUSSION_BANK, program):
                wave = self._sampler.note(program, key, velocity, 1.0, bank=_PERCUSSION_BANK)
                loud = hit.kind not in drumkits.CYMBALS
                level = _BANK_DRUM_LEVEL if loud else _BANK_CYMBAL_LEVEL
                mono: Samples = np.float32(level) * wave.mean(axis=0)
                return mono
        random = _random(f"{kit} {hit.kind}", seed)
        hertz = drumkits.kick_hertz(root)
        return drumkits.stroke(kit, hit.kind, velocity, hertz=hertz, random=random)

    def _add_halo(self, dry: "_Sum", score: Score, heard: Heard, steps: "_Steps") -> None:
        """Add the sustain layer at its level against what is there."""
        if score.halo is None or self._sampler is None:
            return
        layer = halo(
            score.halo,
            heard,
            self._sampler,
            length=dry.mix.shape[1],
            cents=score.tuning_cents,
            take=steps.take,
        )
        own, there = _level(layer), _level(dry.written)
        if own > 0 and there > 0:
            layer *= np.float32(there / own * 10.0 ** (score.halo.gain_db / 20.0))
        dry.add(HALO, layer)


class _Sum:
    """The mix, as layers are added to it and as it goes through the effects.

    Attributes:
        mix: `[2, N]` what is heard.
        written: `[2, N]` what would be heard if nothing else were wanted of single parts; nothing
            that stands beside a part depends on whether it is mute.
        stems: `[2, N]` of each layer by name, if they are to be kept.
    """

    def __init__(self, length: int, score: Score, *, keep_stems: bool) -> None:
        self.mix = np.zeros((2, length), dtype=np.float32)
        needs_all = bool(score.choices.of_parts) and score.halo is not None
        self.written = np.zeros_like(self.mix) if needs_all else self.mix
        self.stems: dict[str, Samples] = {}
        self._choices, self._keep_stems = score.choices, keep_stems

    def wants(self, name: str) -> bool:
        """Whether it makes a difference that a layer is played."""
        return self._choices.gain_of(name) != 0.0 or self.written is not self.mix

    def played(self, play: Callable[[Samples], None]) -> Samples:
        """Return one layer alone, `[2, N]`."""
        layer = np.zeros_like(self.mix)
        play(layer)
        return layer

    def add(self, name: str, layer: Samples) -> None:
        """Add a layer, which is ours from now on."""
        if self.written is not self.mix:
            self.written += layer
        gain = self._choices.gain_of(name)
        if gain != 1.0:
            layer *= np.float32(gain)
        if gain:
            self.mix += layer
            if self._keep_stems:
                self.stems[name] = layer

    def go_through(self, stage: Stage) -> None:
        """Do something to the mix that all layers are in; of a long piece every copy counts."""
        self.mix = self.written = stage(self.mix)


class _Steps:
    """Counts what has been done and tells the caller, in the caller's thread."""

    def __init__(self, on_step: OnStep, total: int) -> None:
        self._on_step, self._total = on_step, total
        self._done = 0
        self._is_abandoned = False
        self._lock = Lock()

    def count(self) -> None:
        """Count a step, in any thread.

        Raises:
            Abandoned: nobody waits for the sound any more.
        """
        if self._is_abandoned:
            raise Abandoned
        with self._lock:
            self._done += 1

    def tell(self) -> None:
        """Tell how far it is; who is told may stop the work."""
        self._on_step(min(self._done, self._total), self._total)

    def take(self) -> None:
        """Tell of a step and count it, in the caller's thread."""
        self.tell()
        self.count()

    def abandon(self) -> None:
        """Let what is playing end at its next step."""
        self._is_abandoned = True

    def finish(self) -> None:
        """Tell that all is done."""
        self._on_step(self._total, self._total)


_HALO_STEPS = 24


def _total_steps(score: Score) -> int:
    """Return about how often `take` will be called."""
    blocks = sum(-(-len(part.notes) // _NOTES_A_STEP) for part in score.parts)
    blocks += -(-len(score.hits) // _NOTES_A_STEP) if score.drums is not None else 0
    return blocks + len(score.effects) + (_HALO_STEPS if score.halo is not None else 0) + 1


def _random(name: str, seed: int) -> np.random.Generator:
    """Return randomness of one part: it does not depend on the others."""
    return np.random.default_rng([zlib.crc32(name.encode()), seed])


def place(mix: Samples, wave: Samples, start_seconds: float, *, gain: float, pan: float) -> None:
    """Add a sound, `[N]` or `[2, N]`, to a mix so that it begins to sound at a given time.

    Silence at its beginning is skipped, so that a late recording is not a late note. Mono sounds
    are panned with constant power, stereo ones balanced.
    """
    lead = _lead(wave)
    if lead:
        wave = wave[..., lead:].copy()
        wave[..., :_SOFTENED] *= _SOFT_START[: wave.shape[-1]]
    start = max(0, round(start_seconds * RATE))
    wave = wave[..., : max(0, mix.shape[1] - start)]
    angle = (pan + 1.0) * np.pi / 4
    if wave.ndim == 1:
        gains = (gain * np.cos(angle), gain * np.sin(angle))
    else:
        gains = (gain * min(1.0, 1.0 - pan), gain * min(1.0, 1.0 + pan))
    window = mix[:, start : start + wave.shape[-1]]
    for channel in range(2):
        window[channel] += np.float32(gains[channel]) * (wave if wave.ndim == 1 else wave[channel])


def _lead(wave: Samples) -> int:
    """Return how many samples pass before a sound speaks, up to a bound."""
    loudness = np.abs(wave if wave.ndim == 1 else wave.sum(axis=0))
    if not loudness.size:
        return 0
    speaks = loudness[:_LONGEST_LEAD] > _LEAD_LEVEL * loudness.max()
    first = int(np.argmax(speaks)) if speaks.any() else 0
    return max(0, first - round(0.002 * RATE))


def _level(samples: Samples) -> float:
    energy = sum(float(np.dot(channel, channel)) for channel in samples)
    return float(np.sqrt(energy / max(samples.size, 1)))


def _setting(score: Score, heard: Heard, seed: int) -> Setting:
    return Setting(
        beat_seconds=score.beat_seconds,
        first_beat=float(heard.beats[0]) if len(heard.beats) else 0.0,
        kicks=tuple(hit.start_seconds for hit in score.hits if hit.kind == "kick"),
        seed=seed,
    )


def _through_effects(
    dry: _Sum, score: Score, setting: Setting, steps: _Steps, *, keep_wholes: bool
) -> tuple[Stage, ...]:
    """Send the mix through the bus effects; return what each of them does to a part of this mix."""
    stages: list[Stage] = []
    silent = not np.any(dry.mix)
    for effect in score.effects:
        steps.take()
        if not silent:
            whole = dry.mix if keep_wholes and effect.kind in effects.OF_THE_WHOLE else None
            applied = partial(effects.apply, effect.kind, effect.parameters)
            stages.append(partial(applied, setting=replace(setting, whole=whole)))
            dry.go_through(partial(applied, setting=setting))
    steps.finish()
    return tuple(stages)


def _ended(mix: Samples, length: int) -> Samples:
    """Return the sound cut to length, with rumble taken away and the edge rounded."""
    final = passed(mix[:, :length], "highpass", _RUMBLE_HERTZ)
    edge = min(_EDGE_SAMPLES, length // 2)
    if edge:
        final[:, length - edge :] *= np.linspace(1.0, 0.0, edge, dtype=np.float32)
    return final
