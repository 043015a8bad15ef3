"""Records of interrupted deep verifications, in the user's cache directory and never beside a checkpoint.

A record is dropped when the run that made it comes to its end, so that a new run reads every byte again: what is kept
spares work, it never stands for a verification.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

MAX_AGE = 14 * 86400.0
"""Seconds after which a record is not taken up any more."""

MAX_BYTES = 256 << 20
"""A record of a million tensors has some hundred megabytes; a larger file is none of ours."""


class Verified:
    """The records of one run."""

    def __init__(self, place: Path | None = None) -> None:
        self.place = place or _cache() / "ckptriage" / "deep"
        self._used: set[Path] = set()

    def load(self, identity: tuple[int, ...]) -> bytes | None:
        """The record of a file by its device, inode, size and modification time."""
        path = self._path(identity)
        self._used.add(path)
        try:
            status = path.stat()
            if time.time() - status.st_mtime > MAX_AGE or status.st_size > MAX_BYTES:
                return None
            return path.read_bytes()
        except OSError:
            return None

    def save(self, identity: tuple[int, ...], record: bytes) -> None:
        """Keep a record; where nothing can be written nothing is kept."""
        path = self._path(identity)
        self._used.add(path)
        beside = path.with_suffix(f".{os.getpid()}.new")
        try:
            self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside.write_bytes(record)
            beside.replace(path)
        except OSError:
            _remove(beside)

    def finish(self) -> None:
        """The run came to its end: its records, and those too old to be taken up, are dropped."""
        try:
            old = [path for path in self.place.iterdir() if time.time() - path.stat().st_mtime > MAX_AGE]
        except OSError:
            old = []
        for path in (*self._used, *old):
            _remove(path)
        self._used.clear()

    def _path(self, identity: tuple[int, ...]) -> Path:
        name = hashlib.sha256(":".join(map(str, identity)).encode("ascii")).hexdigest()[:32]
        return self.place / f"{name}.json"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
