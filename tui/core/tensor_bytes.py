"""Bytes of tensors compared in the file, a piece at a time; nothing is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.files import FileProblem, open_regular

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.checkpoint import Checkpoint
    from tui.core.tensors import Tensor

_PIECE = 4 << 20


def equal(checkpoint: Checkpoint, first: str, second: str, stop: Callable[[], bool] | None = None) -> bool | None:
    """Whether two tensors of the files hold the same bytes; `None` where that cannot be told from the files.

    Tensors of other dtype or shape are unequal. A view that is not contiguous, or of unknown place, gives `None`.
    """
    held = {tensor.name: tensor for tensor in checkpoint.tensors}
    one, other = held.get(first), held.get(second)
    if one is None or other is None:
        return None
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    if one.storage and (one.file, one.storage, one.stride) == (other.file, other.storage, other.stride):
        return True
    if one.offset is None or other.offset is None or one.stride is not None or other.stride is not None:
        return None
    try:
        return _same(checkpoint, one, other, stop)
    except FileProblem:
        return None


def _same(checkpoint: Checkpoint, one: Tensor, other: Tensor, stop: Callable[[], bool] | None) -> bool | None:
    begin, compared = one.offset or 0, other.offset or 0
    with (
        open_regular(checkpoint.root / one.file, one.file) as file,
        open_regular(checkpoint.root / other.file, other.file) as second,
    ):
        for place in range(0, one.nbytes, _PIECE):
            if stop is not None and stop():
                return None
            count = min(_PIECE, one.nbytes - place)
            if file.read(begin + place, count) != second.read(compared + place, count):
                return False
    return True
