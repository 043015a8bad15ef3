"""The Hugging Face cache as a tree: repositories, revisions, refs, blobs, what is half fetched, gone or of no use.

Mirrors the layout of `huggingface_hub/file_download.py` 1.x: `models--ORG--NAME/{blobs,refs,snapshots}`, a blob being
named by its sha256 (LFS) or git sha1, and `BLOB.incomplete` while it is fetched. Nothing is opened but `refs`.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from tui.core.record import Record
from tui.core.text import bytes_size, listing, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
MAX_ENTRIES = 1_000_000


class Revision(Record, frozen=True):
    """One snapshot of a repository."""

    commit: str
    refs: tuple[str, ...]
    """Branches and tags that point to it."""

    files: int
    bytes: int
    """Bytes of the blobs that it links to, each once."""

    dangling: tuple[str, ...]
    """Files whose blob is not there."""


class Blob(Record, frozen=True):
    """One file of the cache's store."""

    name: str
    """Its sha256 or git sha1, with `.incomplete` while it is fetched."""

    bytes: int
    files: tuple[str, ...]
    """Names under which revisions link to it."""

    revisions: int
    """How many revisions link to it; 0 for one of no use, or not ended."""


class Repository(Record, frozen=True):
    """One repository of the cache."""

    name: str
    """`org/name`."""

    kind: str
    """`model`, `dataset` or `space`."""

    root: Path
    revisions: tuple[Revision, ...]
    bytes: int
    """Bytes that its blobs take on the disk, and files that lie in snapshots without a link."""

    blobs: int
    incomplete: tuple[tuple[str, int], ...]
    """Downloads that have not ended: name, and bytes so far."""

    shared: int
    """Blobs that more than one revision uses."""

    unused_bytes: int
    """Bytes of blobs that no revision links to."""

    lost_refs: tuple[str, ...]
    """Refs to a revision that is not there."""

    stored: tuple[Blob, ...] = ()
    """Every blob, the largest first."""


def blob_words(blob: Blob) -> str:
    """`4.9 GiB  3f2a…  model.safetensors, in 2 revisions`."""
    size = f"{bytes_size(blob.bytes):>10}  {printable(blob.name[:12], 24)}"
    if blob.name.endswith(".incomplete"):
        return f"{size}  a download that has not ended"
    if not blob.revisions:
        return f"{size}  of no use to any revision"
    shared = f", in {blob.revisions:,} revisions" if blob.revisions > 1 else ""
    return f"{size}  {listing([printable(name, 80) for name in blob.files], 2)}{shared}"


def repositories(cache: Path) -> Iterator[Repository]:
    """Every repository in the cache, in name order; what cannot be listed is left out."""
    for name in sorted(_list(cache)):
        kind, separator, rest = name.partition("--")
        if separator and kind in _KINDS and rest and (cache / name).is_dir():
            yield _repository(cache / name, rest.replace("--", "/"), _KINDS[kind])


def repository_of(place: Path) -> Repository | None:
    """The repository of the cache that a path lies in, or is; `None` where it is no part of a cache."""
    for root in (place, *place.parents):
        kind, separator, rest = root.name.partition("--")
        if separator and kind in _KINDS and rest and ((root / "blobs").is_dir() or (root / "snapshots").is_dir()):
            return _repository(root, rest.replace("--", "/"), _KINDS[kind])
    return None


def _list(place: Path) -> list[str]:
    try:
        return os.listdir(place)
    except OSError:
        return []


def _repository(root: Path, name: str, kind: str) -> Repository:
    sizes = _blobs(root / "blobs")
    incomplete = tuple(sorted((blob, size) for blob, size in sizes.items() if blob.endswith(".incomplete")))
    whole = {blob: size for blob, size in sizes.items() if not blob.endswith(".incomplete")}
    refs = _refs(root / "refs")
    users: dict[str, int] = {}
    named: dict[str, dict[str, None]] = {}
    revisions: list[Revision] = []
    loose = 0
    for commit in sorted(_list(root / "snapshots")):
        revision, used, plain = _revision(root / "snapshots" / commit, commit, refs, whole)
        revisions.append(revision)
        loose += plain
        for blob, names in used.items():
            users[blob] = users.get(blob, 0) + 1
            named.setdefault(blob, {}).update(dict.fromkeys(names))
    known = {revision.commit for revision in revisions}
    return Repository(
        name,
        kind,
        root,
        tuple(revisions),
        sum(sizes.values()) + loose,
        len(whole),
        incomplete,
        sum(1 for count in users.values() if count > 1),
        sum(size for blob, size in whole.items() if blob not in users),
        tuple(sorted(ref for ref, commit in refs.items() if commit not in known)),
        tuple(
            Blob(blob, size, tuple(named.get(blob, ()))[:20], users.get(blob, 0))
            for blob, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
        ),
    )


def _blobs(place: Path) -> dict[str, int]:
    """Size of each blob."""
    out: dict[str, int] = {}
    for name in _list(place)[:MAX_ENTRIES]:
        try:
            status = os.stat(place / name)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            out[name] = status.st_size
    return out


def _refs(place: Path) -> dict[str, str]:
    """Commit of each ref; names may hold slashes (`refs/pr/1`)."""
    out: dict[str, str] = {}
    for directory, _, names in os.walk(place):
        for name in names[:10_000]:
            path = os.path.join(directory, name)
            try:
                with open(path, "rb") as file:
                    out[os.path.relpath(path, place)] = file.read(128).decode("ascii", "replace").strip()
            except OSError:
                continue
    return out


def _revision(
    place: Path, commit: str, refs: dict[str, str], blobs: dict[str, int]
) -> tuple[Revision, dict[str, list[str]], int]:
    """A revision, the blobs that it uses with the names that link to them, and bytes of files that are no links."""
    used: dict[str, list[str]] = {}
    dangling: list[str] = []
    files = plain = 0
    for directory, _, names in os.walk(place):
        for name in names:
            files += 1
            path = os.path.join(directory, name)
            if files > MAX_ENTRIES:
                break
            if os.path.islink(path):
                blob = os.path.basename(os.readlink(path))
                if os.path.exists(path):
                    used.setdefault(blob, []).append(os.path.relpath(path, place))
                else:
                    dangling.append(os.path.relpath(path, place))
            else:
                plain += os.path.getsize(path)
    named = tuple(sorted(ref for ref, target in refs.items() if target == commit))
    size = sum(blobs.get(blob, 0) for blob in used) + plain
    return Revision(commit, named, files, size, tuple(sorted(dangling))), used, plain
