"""Look after the lake: find what is damaged, and remove what nobody needs.

`verify` hashes again every object that a manifest or a part names, and checks each manifest against its own id and
against the ledger. With `repair` it removes the damaged objects together with the parts and manifests that name them,
and their rows in the ledger, so that the same request makes them anew.

`gc` removes, once it is older than an hour:
- temporary files of killed writers; and, a week old, journals and downloads that nobody went on with;
- manifests that the ledger does not know (a cancelled task's) and that nothing it knows was made from; but when the
  ledger knows no artifact at all, none: it is more likely the wrong ledger than a whole lake of orphans;
- parts, a week old, of which a file is in no manifest: what a failed or cancelled run would go on from;
- objects that no manifest and no part names.
While tasks are at work it removes temporary files alone: an object is stored before anything names it.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from os import cpu_count
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.identity import artifact_id, sha256_file
from tickloom.lake.lake import Lake
from tickloom.lake.store import FolderStore
from tickloom.ledger import runs
from tickloom.ledger.models import ACTIVE

YOUNG_S = 3600.0
PART_S = 7 * 86400.0
OnProgress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""
Named = TypeVar("Named", Manifest, Part)


@dataclass(frozen=True)
class Damage:
    """Something in the lake that is not what was written: its name there, what is wrong, and whose it is."""

    name: str
    reason: str
    artifacts: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


@dataclass
class Verified:
    """What verify found."""

    manifests: int = 0
    parts: int = 0
    objects: int = 0
    bytes: int = 0
    damages: list[Damage] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


@dataclass
class Collected:
    """What gc removed, or would remove: names by kind, and bytes in all."""

    temporary: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    bytes: int = 0
    held_back: str = ""


@dataclass
class _Inventory:
    """Everything in the lake that has meaning, and what cannot be read."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)


@dataclass
class _Use:
    """Who names an object."""

    entry: FileEntry
    artifacts: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)


# verify -----------------------------------------------------------------------------------------------------------


def verify(lake: Lake, ledger_url: str, *, repair: bool = False, progress: OnProgress = lambda *_: None) -> Verified:
    """Check the whole lake; see the module's words. Raises LakeUnavailable."""
    inventory = _read(lake)
    damages = inventory.damages + list(_wrong_manifests(inventory, ledger_url))
    uses = _uses(inventory)
    total, done = sum(use.entry.bytes for use in uses.values()), 0
    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        for (name, use), reason in zip(
            uses.items(), pool.map(lambda item: _wrong(lake, item[0], item[1].entry), uses.items()), strict=True
        ):
            done += use.entry.bytes
            progress(done, total)
            if reason:
                damages.append(Damage(name, reason, tuple(use.artifacts), tuple(use.parts)))
    found = Verified(len(inventory.manifests), len(inventory.parts), len(uses), total, damages)
    if repair and damages:
        found.removed = _repair(lake, ledger_url, damages)
    return found


def _read(lake: Lake) -> _Inventory:
    inventory = _Inventory()
    for name, _ in lake.store.names("manifests"):
        manifest = _parse(lake, name, Manifest, inventory)
        if manifest is not None:
            inventory.manifests[name] = manifest
    for name, _ in lake.store.names("parts"):
        part = _parse(lake, name, Part, inventory)
        if part is not None:
            inventory.parts[name] = part
    return inventory


def _parse(lake: Lake, name: str, kind: type[Named], inventory: _Inventory) -> Named | None:
    try:
        data = lake.store.read(name)
    except FileNotFoundError:  # removed between the listing and the look
        return None
    inventory.digests[name] = hashlib.sha256(data).hexdigest()
    try:
        return kind.model_validate_json(data)
    except ValidationError:
        manifest = kind is Manifest
        owner = (_stem(name),) if manifest else ()
        inventory.damages.append(Damage(name, "cannot be read", owner, () if manifest else (name,)))
        return None


def _wrong_manifests(inventory: _Inventory, ledger_url: str) -> Iterator[Damage]:
    known = runs.known_artifacts(ledger_url)
    unread = {_stem(damage.name) for damage in inventory.damages}
    for name, manifest in inventory.manifests.items():
        named = _stem(name)
        made = artifact_id(manifest.stage, manifest.version, manifest.request, manifest.inputs)
        row = runs.artifact(ledger_url, named) if named in known else None
        if not named == manifest.id == made:
            yield Damage(name, f"its content belongs to artifact {made}", (named,))
        elif row is not None and row.manifest_sha256 != inventory.digests[name]:
            yield Damage(name, "is not the manifest that was committed", (named,))
        for needed in manifest.inputs:
            if _manifest(needed) not in inventory.manifests and needed not in unread:
                yield Damage(_manifest(needed), f"missing: {named[:12]} was made from it", (needed,))
    for lost in sorted(known - {_stem(name) for name in inventory.manifests} - unread):
        yield Damage(_manifest(lost), "missing: the ledger has this artifact", (lost,))


def _uses(inventory: _Inventory) -> dict[str, _Use]:
    uses: dict[str, _Use] = {}
    for name, manifest in inventory.manifests.items():
        for entry in manifest.files:
            uses.setdefault(_object(entry), _Use(entry)).artifacts.append(_stem(name))
    for name, part in inventory.parts.items():
        for entry in part.files:
            uses.setdefault(_object(entry), _Use(entry)).parts.append(name)
    return uses


def _wrong(lake: Lake, name: str, entry: FileEntry) -> str:
    """Return what is wrong with an object, or an empty text."""
    try:
        path = lake.store.local(name)
        found = sha256_file(path) if path else hashlib.sha256(lake.store.read(name)).hexdigest()
    except FileNotFoundError:
        return f"missing: the bytes of {entry.name}"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return "" if found == entry.sha256 else f"damaged: {entry.name} has SHA-256 {found}"


def _repair(lake: Lake, ledger_url: str, damages: list[Damage]) -> list[str]:
    """Remove what is damaged. The ledger forgets first: killed on the way, the rest is found again by the next run."""
    artifacts = {artifact for damage in damages for artifact in damage.artifacts}
    if artifacts:
        runs.forget_artifacts(ledger_url, sorted(artifacts))
    manifests = {_manifest(artifact) for artifact in artifacts}
    parts = {part for damage in damages for part in damage.parts}
    removed = []
    for name in (*sorted(manifests), *sorted(parts), *sorted({damage.name for damage in damages} - manifests - parts)):
        if lake.store.exists(name):
            lake.store.delete(name)
            removed.append(name)
    return removed


# gc ---------------------------------------------------------------------------------------------------------------


def gc(
    lake: Lake, ledger_url: str, *, dry_run: bool = False, young_s: float = YOUNG_S, part_s: float = PART_S
) -> Collected:
    """Remove what nobody needs; see the module's words. With `dry_run`, only tell."""
    now = time.time()
    found = Collected()
    _temporary(lake, "tmp/*", now - young_s, found, dry_run=dry_run)
    _temporary(lake, "journals/*/*", now - part_s, found, dry_run=dry_run)
    _temporary(lake, "unfinished/*", now - part_s, found, dry_run=dry_run)
    at_work = sum(len(runs.listing(ledger_url, state=state, kind=None, limit=1000, before=None)) for state in ACTIVE)
    if at_work:
        found.held_back = f"tasks are at work ({at_work}): only temporary files were looked at"
        return found
    inventory = _read(lake)
    if inventory.damages:  # whose objects cannot be told would look like nobody's
        found.held_back = f"{inventory.damages[0].name} cannot be read: run `tickloom verify --repair` first"
        return found
    kept = _kept_manifests(inventory, runs.known_artifacts(ledger_url))
    found.manifests = [name for name in inventory.manifests if name not in kept and _older(lake, name, now - young_s)]
    gone = set(found.manifests)
    named = {_object(e) for name, manifest in inventory.manifests.items() if name not in gone for e in manifest.files}
    for name, part in inventory.parts.items():
        if not all(_object(entry) in named for entry in part.files) and _older(lake, name, now - part_s):
            found.parts.append(name)
    dropped = set(found.parts)
    named |= {_object(e) for name, part in inventory.parts.items() if name not in dropped for e in part.files}
    for name, size in lake.store.names("objects"):
        if name not in named and _older(lake, name, now - young_s):
            found.objects.append(name)
            found.bytes += size
    if not dry_run:
        _delete(lake, found.manifests)
        _delete(lake, found.parts)
        # An object that was stored again meanwhile is young now, and stays.
        _delete(lake, (name for name in found.objects if _older(lake, name, now - young_s)))
    return found


def _kept_manifests(inventory: _Inventory, known: set[str]) -> set[str]:
    """Return the names of the manifests that the ledger knows and of all that those were made from."""
    if not known:
        return set(inventory.manifests)
    kept: set[str] = set()
    waiting = [_manifest(artifact) for artifact in known]
    while waiting:
        name = waiting.pop()
        if name in inventory.manifests and name not in kept:
            kept.add(name)
            waiting += [_manifest(needed) for needed in inventory.manifests[name].inputs]
    return kept


def _temporary(lake: Lake, pattern: str, before: float, found: Collected, *, dry_run: bool) -> None:
    if not isinstance(lake.store, FolderStore):
        return  # a bucket has none: writers use the machine's own temporary folder
    for folder in sorted(lake.store.root.glob(pattern)):
        inside = [folder, *folder.rglob("*")]
        with suppress(FileNotFoundError):
            if max(path.stat().st_mtime for path in inside) < before:
                found.temporary.append(folder.name)
                found.bytes += sum(path.stat().st_size for path in inside if path.is_file())
                if not dry_run:
                    _remove(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _older(lake: Lake, name: str, before: float) -> bool:
    try:
        return lake.store.modified(name) < before
    except FileNotFoundError:
        return False


def _delete(lake: Lake, names: Iterable[str]) -> None:
    for name in names:
        lake.store.delete(name)


def _object(entry: FileEntry) -> str:
    return f"objects/{entry.sha256[:2]}/{entry.sha256}"


def _manifest(artifact: str) -> str:
    return f"manifests/{artifact[:2]}/{artifact}.json"


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].removesuffix(".json")
