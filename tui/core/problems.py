"""What is wrong with one file, located, in words, with what the real loader says of it."""

from __future__ import annotations

from tui.core.record import Record, replace


class Problem(Record, frozen=True):
    """One defect that a reader met; readers return them and never raise."""

    code: str
    """The rule that explains it: `safetensors-truncated`, `lfs-pointer-safetensors`, …"""

    message: str
    """What is wrong, as a sentence with the figures that prove it."""

    file: str | None = None
    """The file's name relative to the checkpoint, `None` for the checkpoint as a whole."""

    offset: int | None = None
    """Where in the file, in bytes."""

    fatal: bool = True
    """Whether the format's own loader refuses the file because of it."""

    loader_error: tuple[str, str] | None = None
    """Type and text of the exception that the format's own loader raises."""

    detail: tuple[str, ...] = ()
    """Further evidence, a line each."""

    def in_file(self, name: str) -> Problem:
        """The same problem, located in `name`."""
        return replace(self, file=name)
