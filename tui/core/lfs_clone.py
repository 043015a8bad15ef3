"""A clone with git-lfs: which objects its store holds, which files are still pointers, and what all of it takes.

Mirrors git-lfs 3 (`docs/spec.md`, `fs/fs.go`): objects lie in `.git/lfs/objects/ab/cd/<sha256>`, downloads that did not
end in `.git/lfs/incomplete`. Which file an object belongs to is told exactly without git: a pointer's text follows from
the object's name and size, and git's index holds the SHA-1 of that text.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from functools import cached_property
from typing import TYPE_CHECKING

from tui.core import git_index
from tui.core.files import FileProblem, read_small
from tui.core.record import Record
from tui.core.text import bytes_size, count_of, listing, printable, shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_ENTRIES = 1_000_000
MAX_POINTER = 1024
"""Bytes beyond which git-lfs takes nothing for a pointer."""

_POINTER = re.compile(rb"\Aversion https://git-lfs[^\n]*\n(?:[^\n]*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n")
_OID = re.compile(r"^[0-9a-f]{64}$")


class LfsObject(Record, frozen=True):
    """One object that the clone's store holds, or that a pointer asks for."""

    oid: str
    """Its sha256."""

    bytes: int
    """Its size, as the store or else the pointer has it."""

    is_here: bool
    files: tuple[str, ...]
    """Files of the checked-out revision that it is the content of."""

    pointers: tuple[str, ...]
    """Those of them that are still pointers."""

    in_tree: int
    """Bytes that the files take beside the object: copies, no further names of the same bytes."""


class LfsClone(Record, frozen=True, dict=True):
    """A working tree and its store."""

    root: Path
    objects: tuple[LfsObject, ...]
    """The largest first."""

    incomplete: tuple[tuple[str, int], ...]
    """Downloads that have not ended: name, and bytes so far."""

    @cached_property
    def places(self) -> frozenset[str]:
        """Files that are the content of an object, and every directory above one."""
        found: set[str] = set()
        for name in [name for item in self.objects for name in item.files]:
            while name and name not in found:
                found.add(name)
                name = name.rpartition("/")[0]
        return frozenset(found)

    @property
    def store_bytes(self) -> int:
        """Bytes of the objects in the store."""
        return sum(item.bytes for item in self.objects if item.is_here)

    @property
    def disk_bytes(self) -> int:
        """Bytes of store and working tree that its objects take, each only once where they share them."""
        return self.store_bytes + sum(item.in_tree for item in self.objects)

    @property
    def unused_bytes(self) -> int:
        """Bytes of objects that no file of the checked-out revision has as its content."""
        return sum(item.bytes for item in self.objects if item.is_here and not item.files)

    @property
    def missing(self) -> tuple[LfsObject, ...]:
        """Objects that pointers ask for and that the store does not hold."""
        return tuple(item for item in self.objects if not item.is_here)

    @property
    def shared(self) -> int:
        """Objects that are the content of more than one file."""
        return sum(1 for item in self.objects if len(item.files) > 1)


def root_of(place: Path) -> Path | None:
    """The working tree of git that a directory is, or lies a few levels below; `None` where there is none."""
    return next((root for root in (place, *place.parents[:3]) if _git_directory(root) is not None), None)


def read_clone(root: Path) -> LfsClone | None:
    """The store and the pointers of a working tree; `None` where it does not use git-lfs."""
    git = _git_directory(root)
    return _clone(root, git) if git is not None else None


def concerns(clone: LfsClone, place: Path) -> bool:
    """Whether a path is the clone itself, or holds or is the content of one of its objects."""
    if place == clone.root:
        return True
    try:
        below = place.relative_to(clone.root).as_posix()
    except ValueError:
        return False
    return below in clone.places


def commands(clone: LfsClone) -> tuple[str, ...]:
    """What fetches the very files that are pointers, and what writes out those whose objects are here."""
    wanted = [name for item in clone.missing for name in item.pointers]
    held = [name for item in clone.objects if item.is_here for name in item.pointers]
    out: list[str] = []
    if wanted:
        include = ",".join(_pattern(name) for name in sorted(wanted)[:50])
        out.append(shell("git", "-C", str(clone.root), "lfs", "pull", f"--include={include}"))
    if held:
        out.append(shell("git", "-C", str(clone.root), "lfs", "checkout", *sorted(held)[:50]))
    return tuple(out)


def summary(clone: LfsClone) -> str:
    """`4.9 GiB on disk: 2.4 GiB in the store, 2 objects; 1 object is missing`."""
    here = sum(1 for item in clone.objects if item.is_here)
    notes = [f"{bytes_size(clone.store_bytes)} in the store, {count_of(here, 'object')}"]
    if clone.shared:
        notes.append(f"{clone.shared:,} of several files")
    if clone.unused_bytes:
        notes.append(f"{bytes_size(clone.unused_bytes)} of no use to the revision that is checked out")
    if clone.missing:
        size = bytes_size(sum(item.bytes for item in clone.missing))
        notes.append(f"{count_of(len(clone.missing), 'object')} not fetched, {size}")
    if clone.incomplete:
        notes.append(f"{count_of(len(clone.incomplete), 'download')} not ended")
    return f"{bytes_size(clone.disk_bytes)} on disk: {'; '.join(notes)}"


def object_words(item: LfsObject) -> str:
    """`4.9 GiB  3f2a…  model.safetensors, not fetched`."""
    words = f"{bytes_size(item.bytes):>10}  {item.oid[:12]}"
    if not item.files:
        return f"{words}  of no use to the revision that is checked out"
    named = listing([printable(name, 80) for name in item.files], 2)
    if not item.is_here:
        return f"{words}  {named}, not fetched"
    if item.pointers:
        return f"{words}  {named}, fetched and not written out"
    return f"{words}  {named}" if item.in_tree else f"{words}  {named}, one copy for both"


def _pattern(name: str) -> str:
    """A name as a pattern of git-lfs; a comma ends a pattern there."""
    return re.sub(r"[\[\]*?,\\]", "?", name)


def _git_directory(root: Path) -> Path | None:
    """The directory that holds `lfs`, `None` where `root` is no working tree."""
    git = root / ".git"
    try:
        mode = os.stat(git).st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(mode):
        return git
    try:
        text = read_small(git, ".git", 4096).decode("utf-8", "replace").strip()
    except FileProblem:
        return None
    return root / text.removeprefix("gitdir:").strip() if text.startswith("gitdir:") else None


def _common(git: Path) -> Path:
    """The directory that the working trees of one repository share."""
    try:
        return git / read_small(git / "commondir", "commondir", 4096).decode("utf-8", "replace").strip()
    except FileProblem:
        return git


def _clone(root: Path, git: Path) -> LfsClone | None:
    store = _common(git) / "lfs"
    held = _objects(store / "objects")
    by_text = {_pointer_sha1(oid, status.st_size): oid for oid, status in held.items()}
    files: dict[str, list[str]] = {}
    pointers: dict[str, list[str]] = {}
    sizes = {oid: status.st_size for oid, status in held.items()}
    copies: dict[str, int] = {}
    for path, digest in git_index.entries(git):
        status = _status(root / path)
        asked = _pointer(root / path, status)
        oid = asked[0] if asked is not None else by_text.get(digest)
        if oid is None:
            continue
        files.setdefault(oid, []).append(path)
        if asked is not None:
            pointers.setdefault(oid, []).append(path)
            sizes.setdefault(oid, asked[1])
        elif status is not None and not _same_file(status, held[oid]):
            copies[oid] = copies.get(oid, 0) + status.st_size
    if not sizes and not store.is_dir():
        return None
    found = [
        LfsObject(oid, size, oid in held, tuple(files.get(oid, ())), tuple(pointers.get(oid, ())), copies.get(oid, 0))
        for oid, size in sizes.items()
    ]
    found.sort(key=lambda item: (-item.bytes, item.oid))
    return LfsClone(root, tuple(found), tuple(_incomplete(store / "incomplete")))


def _pointer_sha1(oid: str, size: int) -> bytes:
    """The name that git gives to the pointer of an object."""
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()
    return hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).digest()


def _objects(place: Path) -> dict[str, os.stat_result]:
    """Every object of the store by its sha256."""
    out: dict[str, os.stat_result] = {}
    for folder, _, names in os.walk(place):
        for name in names:
            status = _status(os.path.join(folder, name))
            if _OID.match(name) and status is not None and len(out) < MAX_ENTRIES:
                out[name] = status
    return out


def _incomplete(place: Path) -> Iterator[tuple[str, int]]:
    for folder, _, names in os.walk(place):
        for name in sorted(names):
            status = _status(os.path.join(folder, name))
            if status is not None:
                yield name, status.st_size


def _status(path: Path | str) -> os.stat_result | None:
    """Of a regular file."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _pointer(path: Path, status: os.stat_result | None) -> tuple[str, int] | None:
    """(sha256, size) where a file of the working tree is still a pointer."""
    if status is None or not 100 <= status.st_size <= MAX_POINTER:
        return None
    try:
        match = _POINTER.match(read_small(path, path.name, MAX_POINTER))
    except FileProblem:
        return None
    return (match[1].decode(), int(match[2])) if match is not None else None


def _same_file(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
