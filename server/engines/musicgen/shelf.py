"""The networks that are open: those of the settings, and the last ones that a job asked for."""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from audiocraft.models import MusicGen, checkpoints, loaders

from server import errors
from server.config import Settings
from server.engines.checkpoints import loading, store
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.store import Missing, Weights
from server.engines.hardware.device import Held
from server.engines.hardware.memory import WorkingMemory
from server.engines.musicgen.prompts import Hearing
from server.engines.protocols import OnStep, tell_nobody

log = logging.getLogger(__name__)

MOST_OPEN = 2
"""Networks kept in memory; of those asked for by name, the one unused longest leaves."""

STEPS = 4
"""Of a load: the files are proven, the codec, the language model, the texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A codec and a language model, where they run, and who they are."""

    codec: Any
    lm: Any
    identity: dict[str, str]

    @property
    def name(self) -> str:
        """What the weights are called."""
        return self.identity["name"]

    def model(self) -> MusicGen:
        """Return a model for one request: its choices are its own."""
        return MusicGen(self.name, self.codec, self.lm)


def hearing_of(model: MusicGen) -> Hearing:
    """Return how a model hears."""
    return Hearing(
        sample_rate=model.sample_rate,
        channels=model.audio_channels,
        hop=round(model.sample_rate / model.frame_rate),
        window=int(model.max_duration * model.frame_rate + 1e-6),
    )


def opened(found: Weights, held: Held, on_step: OnStep = tell_nobody) -> Opened:
    """Load proven weights to where they shall run.

    Raises:
        errors.EngineUnavailable: they are damaged, or of an unsupported shape.
        errors.OutOfMemory: there is no room for them.
        errors.DeviceLost: the card does not answer.
    """
    from transformers.utils import logging as chatter  # noqa: PLC0415 - slow to import

    chatter.disable_progress_bar()  # type: ignore[no-untyped-call]
    with loading.told():
        codec = loaders.load_compression_model(found.codec, held.place.name)
        on_step(2, STEPS)
        lm = loaders.lm_from(checkpoints.read(found.model), held.place.name)
        lm.fuse(is_sole=True)
        on_step(3, STEPS)
        lm.condition_provider.description.use_encoder(found.text_encoder)
        MusicGen(found.name, codec, lm)  # refuses what does not go together
    precision = str(lm.out_norm.weight.dtype).removeprefix("torch.")
    on_step(4, STEPS)
    return Opened(codec=codec, lm=lm, identity=dict(loading.identity(found, held, precision)))


class Shelf:
    """The networks of one engine on one device; one thread uses it."""

    def __init__(
        self,
        settings: Settings,
        held: Held,
        memory: WorkingMemory,
        *,
        usual: Weights,
        network: Opened,
    ) -> None:
        """Take where more are found, where they run, and what plays for who names none."""
        self._settings = settings
        self._held = held
        self._memory = memory
        self._usual = usual
        self._open: OrderedDict[str, Opened] = OrderedDict({usual.name: network})

    def named(self, name: str) -> Opened:
        """Return the network of a name, empty for the usual one; loaded if need be.

        Raises:
            errors.InvalidInput: there are no such weights here; names `model`.
            errors.EngineUnavailable: they are damaged.
            errors.OutOfMemory: there is no room for them.
        """
        name = name or self._usual.name
        if name not in self._open:
            self._open[name] = self._loaded(store.proven(self._found(name), self._settings))
        self._open.move_to_end(name)
        while len(self._open) > MOST_OPEN:
            self._leave()
        return self._open[name]

    def leave_alone(self, name: str) -> None:
        """Forget all networks but one, for want of room."""
        self._open = OrderedDict({name: self._open[name]})
        self._memory.rebase()

    def names(self) -> list[str]:
        """Return the names of the open networks, the one used last at the end."""
        return list(self._open)

    def close(self) -> None:
        """Forget all."""
        self._open.clear()

    def _found(self, name: str) -> Weights:
        if name == self._usual.name:
            return self._usual
        found = store.find_stored(self._settings, name, Family.LANGUAGE)
        if isinstance(found, Missing):
            raise errors.InvalidInput(f"{found.reason} {found.advice}", field="model")
        return found

    def _loaded(self, found: Weights) -> Opened:
        log.info("loading weights %s", found.name)
        while True:
            try:
                network = opened(found, self._held)
            except errors.OutOfMemory:
                if not self._open:
                    raise
            else:
                self._memory.rebase()
                return network
            # only now: an error that is being handled keeps what its loader had made so far
            self._leave()

    def _leave(self) -> None:
        name, _ = self._open.popitem(last=False)
        log.info("weights %s leave", name)
        self._memory.rebase()
