"""From a path to the checkpoints below it: iterative, bounded, and without ever raising on what it meets.

Directories that cannot be read, dangling links, loops, FIFOs and devices become rows.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from tui.core.assemble import (
    is_bundle_prefix,
    is_checkpoint_directory,
    is_weight_name,
    read_directory,
    read_one_file,
    read_prefix,
    unfinished_blobs,
)
from tui.core.checkpoint import Checkpoint, is_side_file
from tui.core.files import kind_of
from tui.core.formats import WEIGHT_SUFFIXES
from tui.core.formats.tensorflow.names import BELOW, is_saved_model
from tui.core.partial import CONTROL, final_name, is_partial
from tui.core.partial import SUFFIXES as PARTIAL_SUFFIXES
from tui.core.problems import Problem
from tui.core.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_DEPTH = 40
MAX_ENTRIES = 2_000_000
SKIPPED = frozenset({".git", "__pycache__", "node_modules", ".cache", ".venv", "venv", "site-packages", ".locks"})
"""Directories in which nobody keeps checkpoints and which hold many files."""


_MODULE = re.compile(r"^\d+_[A-Z]\w*$")
"""How sentence-transformers names the directory of a module: `1_Pooling`."""

_ENDINGS = frozenset(
    suffix.rpartition(".")[2]
    for suffix in (
        *WEIGHT_SUFFIXES, *PARTIAL_SUFFIXES, ".json", ".py", ".metadata", ".distcp", ".pbtxt", ".index", ".meta",
        ".ocdbt", ".graphdef",
    )
)  # fmt: skip
"""Last parts of the names that the rules below look at."""


class Found(Record, frozen=True):
    """One row of a scan: a checkpoint that is not read yet, or something that cannot be one."""

    path: str
    """As the user wrote it, joined with what was found below it."""

    location: Path
    is_directory: bool
    names: frozenset[str] = frozenset()
    """The files in a directory, where they were listed."""

    directories: frozenset[str] | None = None
    """The directories in it."""

    problem: Problem | None = None

    def read(self) -> Checkpoint:
        """Read the headers; problems are carried."""
        if self.problem is not None:
            return Checkpoint(
                self.path, self.location, "unknown", problems=(self.problem,), is_file=not self.is_directory
            )
        if not self.is_directory and is_bundle_prefix(self.location):
            return read_prefix(self.location, self.path)
        if not self.is_directory:
            return read_one_file(self.location, self.path)
        try:
            return read_directory(self.location, self.path, self.names or None, self.directories)
        except OSError as error:
            problem = Problem("directory-unreadable", f"cannot be listed: {error.strerror or error}")
            return Checkpoint(self.path, self.location, "unknown", problems=(problem,))


def scan(path: Path, shown: str) -> Iterator[Found]:
    """Rows below `path`, each as soon as it is known; `path` must exist."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if is_bundle_prefix(path):
            yield Found(shown, path, False)
            return
        problem = Problem("file-unreadable", f"cannot be opened: {error.strerror or error}")
        yield Found(shown, path, False, problem=problem)
        return
    if stat.S_ISDIR(mode):
        yield from _directories(path, shown)
    elif stat.S_ISREG(mode):
        yield Found(shown, path, False)
    else:
        yield Found(
            shown,
            path,
            False,
            problem=Problem("file-not-regular", f"is {kind_of(mode)}, not a regular file", path.name),
        )


def _directories(root: Path, shown: str) -> Iterator[Found]:
    """Depth first in name order; a directory entered before (a loop of links) is not entered again."""
    stack: list[tuple[Path, str, int]] = [(root, shown, 0)]
    entered: set[tuple[int, int]] = set()
    budget = MAX_ENTRIES
    while stack and budget > 0:
        here, label, depth = stack.pop()
        try:
            identity = os.stat(here)
            entries = list(os.scandir(here))
        except OSError as error:
            message = f"cannot be listed: {error.strerror or error}"
            yield Found(label, here, True, problem=Problem("directory-unreadable", message))
            continue
        if (identity.st_dev, identity.st_ino) in entered:
            continue
        entered.add((identity.st_dev, identity.st_ino))
        budget -= len(entries)
        directories = frozenset(entry.name for entry in entries if _is_directory(entry))
        files = frozenset([entry.name for entry in entries]) - directories
        yield from _rows(here, label, entries, files, directories)
        # a CoreML package (Manifest.json, Data) is one thing to its user: nothing below it is a row of its own
        if directories and depth < MAX_DEPTH and not ("Manifest.json" in files and "Data" in directories):
            below = sorted(directories - SKIPPED - _parts(files, directories), reverse=True)
            stack.extend((here / name, _label(label, name), depth + 1) for name in below)


def _parts(files: frozenset[str], directories: frozenset[str]) -> frozenset[str]:
    """Directories that are parts of the checkpoint above them and no checkpoints of their own."""
    if is_saved_model(files):
        return BELOW
    if "modules.json" in files:
        return frozenset(name for name in directories if _MODULE.match(name))
    return directories if "_CHECKPOINT_METADATA" in files else frozenset()


def _label(parent: str, name: str) -> str:
    return name if parent == "." else os.path.join(parent, name)


def _rows(
    here: Path, label: str, entries: list[os.DirEntry[str]], files: frozenset[str], directories: frozenset[str]
) -> Iterator[Found]:
    """What one directory gives: itself as a checkpoint, or each weight file in it."""
    telling = _telling(files)
    if not telling and not directories:
        return
    odd = [found for entry in entries if entry.name in telling and (found := _odd(entry, label, here)) is not None]
    if is_checkpoint_directory(telling, directories):
        yield Found(label, here, True, files, directories)
        return
    if "blobs" in directories and not _has_snapshot(here):
        for problem in unfinished_blobs(here):
            yield Found(label, here, True, problem=problem)
    yield from odd
    told = {found.location.name for found in odd}
    for name in sorted(telling - told):
        if (is_weight_name(name) or _is_half_fetched(name)) and not is_side_file(name):
            yield Found(_label(label, name), here / name, False)


def _telling(names: frozenset[str]) -> frozenset[str]:
    """The names that can make a directory a checkpoint, or be a row: a tree may hold many thousand others."""
    told = [
        name
        for name in names
        if (dot := name.rfind(".")) < 0 or name[dot + 1 :].lower() in _ENDINGS or ".data-" in name
    ]
    if any(name.endswith((".meta", ".index")) for name in told):
        return names  # TensorFlow's own names may end in anything
    return frozenset(told)


def _has_snapshot(repository: Path) -> bool:
    """Whether a repository of the hub cache has a revision to look at."""
    try:
        return bool(os.listdir(repository / "snapshots"))
    except OSError:
        return False


def _is_half_fetched(name: str) -> bool:
    """Whether a downloader still writes what will be a weight file; aria2's control file holds none of it."""
    return is_partial(name) and not name.endswith(CONTROL) and is_weight_name(final_name(name))


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _odd(entry: os.DirEntry[str], label: str, here: Path) -> Found | None:
    """A row for an entry under a weight's name that is no file: dangling link, loop, FIFO, device, socket."""
    if not is_weight_name(entry.name):
        return None
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        looped = "is a symbolic link that leads nowhere" if entry.is_symlink() else f"{error.strerror or error}"
        problem = Problem("hub-dangling-symlink", looped, entry.name)
        return Found(_label(label, entry.name), here / entry.name, False, problem=problem)
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    problem = Problem("file-not-regular", f"is {kind_of(mode)}, not a regular file", entry.name)
    return Found(_label(label, entry.name), here / entry.name, False, problem=problem)
