"""Pulling weights: what there is to fetch and how much room it takes, then fetching it.

The first pull trusts what the hub says of its main branch and writes down the commit and every
checksum. Later pulls keep to that commit and refuse a hub that declares anything else for it.
What other weights of the store have already, a text encoder or a codec, is shared with them.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server import errors
from server.config import Settings
from server.engines.checkpoints import convert, hub, parts, store
from server.engines.checkpoints.cards import Card
from server.engines.checkpoints.hub import Listing, Remote
from server.engines.checkpoints.manifest import Manifest, Origin, Print, sha256_of

OnProgress = Callable[[float, str], None]
"""Called with the share that is done and the name of the stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a pull would do.

    Attributes:
        folder: of the store.
        listings: by part, at the commits that will be recorded.
        wanted: files to fetch by part; nothing where all is here and intact.
    """

    card: Card
    folder: Path
    listings: Mapping[str, Listing]
    wanted: Mapping[str, Sequence[Remote]]

    @property
    def revision(self) -> str:
        """The commit of the model."""
        return self.listings[parts.MODEL].revision

    @property
    def staging(self) -> Path:
        """Where files are kept as they came."""
        return self.folder / f"original-{self.revision[:12]}"

    def place(self, part: str) -> Path:
        """Return where the files of a part are kept as they came."""
        return parts.place(self.staging, part)

    @property
    def size(self) -> int:
        """Bytes of all files to fetch."""
        return sum(remote.size for files in self.wanted.values() for remote in files)

    @property
    def lacking(self) -> int:
        """Bytes of them that are not here yet."""
        here = (
            hub.held(self.place(part), remote)
            for part, files in self.wanted.items()
            for remote in files
        )
        return self.size - sum(here)

    def refuse_without_room(self) -> None:
        """See that there is room for what is fetched and, beside it, what becomes of it.

        Raises:
            errors.StorageFailed: there is not.
        """
        existing = next(place for place in (self.folder, *self.folder.parents) if place.exists())
        needed, free = self.lacking + self.size, shutil.disk_usage(existing).free
        if needed > free:
            raise errors.StorageFailed(
                f"This needs {needed / 1e9:.1f} GB while it works and {self.size / 1e9:.1f} GB"
                f" afterwards, and {free / 1e9:.1f} GB are free. MELODYFLOW_MODELS_DIR names"
                " another place."
            )


def plan(settings: Settings, card: Card, *, revision: str | None = None) -> Plan:
    """Ask the hub what there is and compare it with what is here.

    Raises:
        errors.Unavailable: the hub cannot be reached.
        errors.InvalidInput: it has not what is needed, or other content than at the first pull.
        errors.StorageFailed: the disk is full.
    """
    folder = store.folder_of(settings, card.name)
    manifest = Manifest.read(folder)
    pinned = dict(manifest.origins) if manifest else {}
    listings = parts.listings(settings, card, pinned, revision=revision)
    for part, listing in listings.items():
        origin = pinned.get(part)
        if origin and origin.revision == listing.revision:
            _refuse_other_content(origin, listing)
    damaged = manifest.damaged(folder) if manifest else []
    wanted = {
        part: parts.wanted(card, part, listing, pinned.get(part), damaged)
        for part, listing in listings.items()
    }
    planned = Plan(card=card, folder=folder, listings=listings, wanted=wanted)
    for part, files in wanted.items():
        parts.borrow(settings, listings[part], files, planned.place(part), but=folder)
    return planned


def pull(settings: Settings, card: Card, *, on_progress: OnProgress) -> Manifest:
    """Fetch weights, or nothing where they are here and intact; return what is here then.

    Raises:
        errors.Unavailable: the hub cannot be reached, or fetching broke off.
        errors.InvalidInput: the hub has not what is needed.
        errors.StorageFailed: there is no room, or what came is not what the hub declares.
    """
    planned = plan(settings, card)
    here = Manifest.read(planned.folder)
    if here is not None and not planned.size:
        return here
    planned.refuse_without_room()
    return carry_out(planned, keep_original=False, on_progress=on_progress)


def carry_out(planned: Plan, *, keep_original: bool, on_progress: OnProgress) -> Manifest:
    """Fetch, check, convert, and clear away what is not needed any more.

    Raises:
        errors.Unavailable: fetching broke off; what came is kept for the next time.
        errors.StorageFailed: the disk is full, or what came is not what the hub declares.
    """
    converted = sum(remote.size for remote in planned.wanted[parts.MODEL])
    ledger = _Ledger(on_progress, planned.size + converted)
    try:
        origins = _fetched(planned, ledger)
        ledger.stage = "Converting"
        made = convert.Made(name=planned.card.name, licence=planned.card.licence, origins=origins)
        manifest = convert.convert(
            planned.staging, planned.folder, made, on_bytes=ledger.add, put=parts.link
        )
        if not keep_original:
            shutil.rmtree(planned.staging)
    except OSError as error:
        raise errors.StorageFailed(f"The weights could not be stored: {error.strerror}.") from error
    on_progress(1.0, "Ready")
    return manifest


def _refuse_other_content(origin: Origin, listing: Listing) -> None:
    for remote in listing.files:
        known = origin.files.get(remote.name)
        declared = remote.sha256 or (known.sha256 if known else "")
        if known and (known.size, known.sha256) != (remote.size, declared):
            raise errors.InvalidInput(
                f"The hub declares other content for {remote.name} than when these weights were"
                " first pulled, at the very same commit. Nothing was fetched."
            )


def _fetched(planned: Plan, ledger: "_Ledger") -> dict[str, Origin]:
    before = Manifest.read(planned.folder)
    origins = {}
    for part, files in planned.wanted.items():
        listing, place = planned.listings[part], planned.place(part)
        kept = before.origins.get(part) if before else None
        is_same = kept is not None and kept.revision == listing.revision
        prints = dict(kept.files) if kept and is_same else {}
        for remote in files:
            path = hub.fetch(listing, remote, place, on_bytes=ledger.add)
            sha256 = remote.sha256 or sha256_of(path)
            prints[remote.name] = Print(size=remote.size, sha256=sha256)
        origins[part] = Origin(
            repository=listing.repository, revision=listing.revision, files=prints
        )
    return origins


class _Ledger:
    """Adds up bytes over files and stages."""

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self.stage = "Fetching"
        self._on_progress = on_progress
        self._total = max(total, 1)
        self._done = 0
        self._told = -1

    def add(self, count: int) -> None:
        self._done += count
        permille = min(1000 * self._done // self._total, 1000)
        if permille != self._told:  # a bar that is drawn for every tensor is slower than the disk
            self._told = permille
            self._on_progress(permille / 1000, self.stage)
