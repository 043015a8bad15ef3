"""How far a long reading is: bytes done, rate and time left, in one line of words."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tui.core.text import bytes_size


class Stopped(Exception):
    """The user has cancelled a reading."""


@dataclass
class Pace:
    """Counts bytes; one thread adds, others may ask for the words."""

    total: int
    done: int = 0
    skipped: int = 0
    """Bytes of `done` that were read in an earlier run and say nothing of the rate."""

    began: float = field(default_factory=time.monotonic)

    def add(self, count: int) -> None:
        """So many more bytes were read."""
        self.done += count

    def skip(self, count: int) -> None:
        """So many bytes need not be read again."""
        self.done += count
        self.skipped += count

    def words(self) -> str:
        """`read 1.2 GiB of 4.9 GiB, 812.0 MiB/s, 5 s left`."""
        spent = max(time.monotonic() - self.began, 1e-3)
        rate = (self.done - self.skipped) / spent
        words = f"read {bytes_size(self.done)} of {bytes_size(self.total)}"
        if rate <= 0:
            return words
        return f"{words}, {bytes_size(int(rate))}/s, {max(self.total - self.done, 0) / rate:.0f} s left"
