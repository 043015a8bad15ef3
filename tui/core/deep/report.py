"""What reading every byte told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.record import Record

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.deep.known import Known


class DeepFile(Record, frozen=True):
    """What reading every byte of one file told."""

    name: str
    bytes: int
    sha256: str = ""
    known: Known | None = None
    broken_records: tuple[str, ...] = ()
    """Members of an archive whose CRC does not match."""

    broken_tensors: tuple[tuple[str, int, str], ...] = ()
    """(tensor or block, where it lies, what the two checksums are) where TensorFlow's own checksum does not match."""

    checked_tensors: int = 0
    """Tensors and slices whose stored checksum was compared."""

    not_finite: tuple[tuple[str, int], ...] = ()
    """(tensor, how many of its elements are infinite or not a number)."""

    constant: tuple[tuple[str, bool], ...] = ()
    """(tensor of more than one element whose elements are all equal, whether they are zero)."""

    in_holes: tuple[str, ...] = ()
    """Tensors of which at least a block was never written: a hole of the file, read as zeros."""

    unseen: int = 0
    """Tensors whose place in the file is not known, so that their values were not looked at."""

    problem: str = ""

    @property
    def matches(self) -> bool | None:
        """Whether the checksum is the known one; `None` where none is known."""
        return None if self.known is None or not self.sha256 else self.sha256.startswith(self.known.sha256)


class DeepReport(Record, frozen=True):
    """Every weight file of a checkpoint, read to its end."""

    files: tuple[DeepFile, ...]
    duplicates: tuple[tuple[str, ...], ...] = ()
    """Names of large tensors that hold the same bytes, compared in the files."""


def total_bytes(checkpoint: Checkpoint) -> int:
    """Bytes that `verify` will read."""
    return sum(file.size for file in checkpoint.weight_files)
