"""Checksums that are known without asking anybody."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from tui.core.files import FileProblem, read_small
from tui.core.lfs_clone import read_clone, root_of
from tui.core.record import Record

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import Checkpoint

_HASHED_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth?|bin|safetensors|ckpt)$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_INDEXES = ("SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "sha256sum.txt", "checksums.sha256", "checksum.sha256")
"""Files in which a release lists the checksums of its files, as `sha256sum` prints them."""

_LIMIT = 1 << 20


class Known(Record, frozen=True):
    """A checksum, and where from."""

    sha256: str
    """64 hexadecimal digits, or the first few of them."""

    source: str


def known(checkpoint: Checkpoint, name: str) -> Known | None:
    """The checksum that a file ought to have, as far as anything here says."""
    path = checkpoint.root / name
    if path.is_symlink():
        blob = os.path.basename(os.path.realpath(path))
        if _SHA256.match(blob):
            return Known(blob, "the name of its blob in the hub cache")
    match = _HASHED_NAME.search(name)
    if match is not None:
        return Known(match[1], "its own name")
    root = checkpoint.root
    return _sidecar(path) or _local_download(root, name) or _index(root, name) or _lfs(root.absolute() / name)


def _words(path: Path) -> list[str]:
    """The words of a small text, empty where it is not there."""
    try:
        return read_small(path, path.name, _LIMIT).decode("ascii", "replace").split()
    except FileProblem:
        return []


def _sidecar(path: Path) -> Known | None:
    """`model.safetensors.sha256`."""
    for suffix in (".sha256", ".sha256sum"):
        beside = path.with_name(path.name + suffix)
        words = _words(beside)
        if words and _SHA256.match(words[0].lower()):
            return Known(words[0].lower(), beside.name)
    return None


def _local_download(root: Path, name: str) -> Known | None:
    """What `hf download --local-dir` noted: commit, etag and time; the etag of a large file is its sha256.

    Mirrors `huggingface_hub/_local_folder.py` 1.x (`LocalDownloadFileMetadata`).
    """
    words = _words(root / ".cache" / "huggingface" / "download" / f"{name}.metadata")
    if len(words) >= 2 and _SHA256.match(words[1]):
        return Known(words[1], "what hf download noted in .cache/huggingface")
    return None


def _index(root: Path, name: str) -> Known | None:
    """A list of checksums beside the files."""
    for index in _INDEXES:
        words = _words(root / index)
        for digest, file in pairwise(words):
            if _SHA256.match(digest.lower()) and file.lstrip("*").removeprefix("./") == name:
                return Known(digest.lower(), index)
    return None


def _lfs(path: Path) -> Known | None:
    """The git-lfs object that git's index names for the file, where the clone's store still holds it."""
    root = root_of(path.parent)
    clone = read_clone(root) if root is not None else None
    if clone is None:
        return None
    name = path.relative_to(clone.root).as_posix()
    for item in clone.objects:
        if item.is_here and name in item.files and name not in item.pointers:
            return Known(item.oid, "its git-lfs pointer in the repository")
    return None
