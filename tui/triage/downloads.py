"""Downloads that go on while they are looked at: suspected files are measured, and read again when they rest."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tui.core.partial import final_name, is_partial, promised
from tui.core.record import Record

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint

RECENT = 120.0
"""Seconds since its last change for which a file that is cut short may be one that is being written."""

REST = 5.0
"""Seconds without growth after which a file is read again."""

WINDOW = 8.0
"""Seconds over which the rate is taken."""

Size = tuple[int, int, int]
"""Bytes of the file that are written (holes do not count), size, modification time in nanoseconds; -1 where gone."""


class Growth(Record, frozen=True):
    """A download that goes on."""

    bytes: int
    rate: int
    """Bytes a second."""

    total: int | None = None
    """Bytes that it will have, where the header says so."""

    @property
    def percent(self) -> int | None:
        """How much of it is there."""
        return min(self.bytes * 100 // self.total, 99) if self.total else None


@dataclass
class _Suspect:
    """A checkpoint of which some files may grow."""

    files: tuple[str, ...]
    total: int | None
    last: dict[str, Size]
    samples: list[tuple[float, int]] = field(default_factory=list)
    changed: float | None = None
    """When it last grew, `None` while it has not been seen to."""

    shown: Growth | None = None


class Change(Record, frozen=True):
    """What a look has found: a growth to be shown, or `rested` for a checkpoint to be read again."""

    path: str
    growth: Growth | None = None
    rested: bool = False


def suspects(checkpoint: Checkpoint, now: float) -> tuple[str, ...]:
    """Files of a checkpoint that may be growing: those with a downloader's suffix, and those cut short of late."""
    names = [name for name in checkpoint.names if is_partial(name)]
    names += [final_name(name) for name in names if final_name(name) in checkpoint.names]
    for file in checkpoint.files:
        if promised(file) is not None or (file.fatal is not None and file.size == 0) or _is_cut(checkpoint, file.name):
            names.append(file.name)
    paths = [str(checkpoint.root / name) for name in dict.fromkeys(names)] + _blobs(checkpoint.root)
    return tuple(path for path in paths if is_partial(path) or now - _size(path)[2] / 1e9 < RECENT)


def _blobs(root: Path) -> list[str]:
    """Blobs of the hub cache that are being fetched for the repository of a snapshot."""
    repository = root.parent.parent if root.parent.name == "snapshots" else root
    if "--" not in repository.name:
        return []
    try:
        return [str(path) for path in (repository / "blobs").iterdir() if path.name.endswith(".incomplete")]
    except OSError:
        return []


def _is_cut(checkpoint: Checkpoint, name: str) -> bool:
    """Whether a reader found that the file ends too early."""
    file = checkpoint.by_name[name]
    return any("truncated" in problem.code or "damaged" in problem.code for problem in file.problems if problem.fatal)


def _size(path: str) -> Size:
    """One stat; a link is followed, as blobs of the hub cache are."""
    try:
        status = Path(path).stat()
    except OSError:
        return (-1, -1, -1)
    return (min(status.st_size, status.st_blocks * 512), status.st_size, status.st_mtime_ns)


class Downloads:
    """Which checkpoints are suspected, and how they grow. Nothing else is measured, and nothing is opened."""

    def __init__(self) -> None:
        self._suspects: dict[str, _Suspect] = {}

    def consider(self, checkpoint: Checkpoint, now: float | None = None) -> None:
        """Suspect a checkpoint that was just read, or clear it."""
        files = suspects(checkpoint, time.time() if now is None else now)
        if not files:
            self._suspects.pop(checkpoint.path, None)
            return
        totals = [promised(file) for file in checkpoint.files if promised(file) is not None]
        total = totals[0] if len(totals) == 1 and totals[0] is not None else None
        self._suspects[checkpoint.path] = _Suspect(files, total, {file: _size(file) for file in files})

    def drop(self, path: str) -> None:
        """Suspect a checkpoint no more."""
        self._suspects.pop(path, None)

    def __len__(self) -> int:
        return len(self._suspects)

    def growing(self, path: str) -> Growth | None:
        """How a checkpoint grows, `None` where it does not."""
        suspect = self._suspects.get(path)
        return suspect.shown if suspect is not None else None

    def look(self, clock: float | None = None) -> list[Change]:
        """Measure every suspected file once; only what has changed is told. `clock` is monotonic, in seconds."""
        now = time.monotonic() if clock is None else clock
        out: list[Change] = []
        for path, suspect in list(self._suspects.items()):
            change = _look(path, suspect, now)
            if change is not None:
                out.append(change)
        return out


def _look(path: str, suspect: _Suspect, now: float) -> Change | None:
    """One suspect: grown, at rest after it had grown, or as before."""
    sizes = {file: _size(file) for file in suspect.files}
    total = sum(max(size[0], 0) for size in sizes.values())
    if sizes != suspect.last:
        if not suspect.samples:
            suspect.samples.append((now - 1, sum(max(size[0], 0) for size in suspect.last.values())))
        suspect.last, suspect.changed = sizes, now
        suspect.samples = [sample for sample in suspect.samples if now - sample[0] <= WINDOW][-16:]
        suspect.samples.append((now, total))
        began, before = suspect.samples[0]
        rate = max(int((total - before) / max(now - began, 1e-3)), 0)
        gone = any(size[1] < 0 for size in sizes.values())
        suspect.shown = Growth(total, rate, suspect.total)
        return Change(path, rested=True) if gone else Change(path, suspect.shown)
    if suspect.changed is not None and now - suspect.changed >= REST:
        suspect.changed, suspect.shown, suspect.samples = None, None, []
        return Change(path, rested=True)
    return None
