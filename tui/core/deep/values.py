"""Values of tensors looked at as their bytes pass: what is not finite, what is constant, and sums that copies share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tui.core.record import Record
from tui.core.relatives.entries import byte_order
from tui.core.tensors import DTYPE_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import FileReport
    from tui.core.tensors import Tensor

GRAIN = 512
"""A tensor is cut at multiples of so many bytes from its beginning: whole elements of every dtype, whole sums."""

_EXPONENTS = {
    "F64": ("u8", 0x7FF0000000000000), "F32": ("u4", 0x7F800000), "F16": ("u2", 0x7C00), "BF16": ("u2", 0x7F80),
    "F8_E5M2": ("u1", 0x7C),
}  # fmt: skip
"""(unsigned integer of the same width, mask of the exponent): all ones there means infinite or not a number."""

_WHOLE = {8: "u1", 16: "u2", 32: "u4", 64: "u8", 128: "V16"}
"""An element of so many bits as one value that can be compared."""


@dataclass
class Look:
    """One tensor, as far as its bytes have passed."""

    not_finite: int = 0
    same: bool = True
    first: str = ""
    """Its first element in hexadecimal."""

    total: int = 0
    """Sum of the first 64-bit word of every `GRAIN` bytes, modulo 2^64: equal for copies, which are then compared."""


class Place(Record, frozen=True):
    """Where a tensor's bytes lie."""

    tensor: Tensor
    begin: int
    end: int
    order: str


def places(tensors: list[tuple[Tensor, FileReport | None]], size: int) -> list[Place]:
    """Tensors in the order of the file, a shared storage once; those of unknown place or broken elements left out."""
    whole = [(tensor, byte_order(tensor, file)) for tensor, file in tensors if _is_whole(tensor)]
    out: list[Place] = []
    position = 0
    for tensor, order in sorted(whole, key=lambda item: item[0].offset or 0):
        begin = tensor.offset or 0
        if begin >= position and begin + tensor.nbytes <= size:
            position = begin + tensor.nbytes
            out.append(Place(tensor, begin, position, order))
    return out


def _is_whole(tensor: Tensor) -> bool:
    """Whether a tensor's bytes lie in one known stretch of whole elements."""
    bits = DTYPE_BITS.get(tensor.dtype, 0)
    return tensor.offset is not None and tensor.stride is None and tensor.nbytes > 0 and bits >= 8


def pieces(found: list[Place], start: int, size: int, most: int) -> Iterator[tuple[int, int, list[Place]]]:
    """(offset, end, tensors in it) from `start` to the end of the file, no element of a tensor being cut in two."""
    position, index = start, 0
    while position < size:
        end = min(position + max(most, GRAIN), size)
        while index < len(found) and found[index].end <= position:
            index += 1
        last = index
        while last < len(found) and found[last].begin < end:
            last += 1
        inside = found[index:last]
        if inside and inside[-1].end > end:
            end -= (end - inside[-1].begin) % GRAIN
            inside = [place for place in inside if place.begin < end]
            if end <= position:
                end = min(position + GRAIN, size)
        yield position, end, inside
        position = end


class _Kind(Record, frozen=True):
    """How the elements of a dtype are looked at."""

    whole: Any
    """numpy's dtype in which an element is one value that can be compared."""

    signed: Any = None
    """The same with a sign; `None` where every pattern of bits is a finite number."""

    positive: int = 0
    """The least integer with a sign that is infinite or not a number: an exponent of all ones."""

    negative: int = 0
    """The least one without a sign that is, and that is negative as a number."""


@cache
def _kind(dtype: str, order: str) -> _Kind:
    kind, mask = _EXPONENTS.get(dtype, (_WHOLE.get(DTYPE_BITS[dtype], "u1"), 0))
    whole = np.dtype(kind if kind.startswith("V") else order + kind)
    if not mask:
        return _Kind(whole)
    return _Kind(whole, np.dtype(order + kind.replace("u", "i")), mask, mask | 1 << 8 * whole.itemsize - 1)


def look(seen: Look, place: Place, data: memoryview, begins: bool) -> None:
    """Add a stretch of a tensor's bytes: whole elements, and but for the last stretch a multiple of `GRAIN`."""
    kind = _kind(place.tensor.dtype, place.order)
    values: Any = np.frombuffer(data, kind.whole)
    if kind.signed is not None:
        seen.not_finite += _not_finite(values, kind)
    if begins:
        seen.first = values[0].tobytes().hex()
    if seen.same:
        first = np.frombuffer(bytes.fromhex(seen.first), values.dtype)[0]
        seen.same = bool(values[-1] == first and (values == first).all())
    words = np.frombuffer(data, "<u8", len(data) // 8)[:: GRAIN // 8]
    seen.total = (seen.total + int(np.add.reduce(words, dtype=np.uint64))) & 0xFFFFFFFFFFFFFFFF


def goes_on(seen: Look | None, place: Place) -> bool:
    """Whether a look that was kept can go on with this tensor."""
    width = DTYPE_BITS[place.tensor.dtype] // 4
    return seen is not None and len(seen.first) == width and all(char in "0123456789abcdef" for char in seen.first)


def _not_finite(values: Any, kind: _Kind) -> int:
    """How many elements have an exponent of all ones.

    As integers they are the largest of their sign: two maxima, which write nothing, tell that there is none.
    """
    largest = np.maximum.reduce
    if largest(values.view(kind.signed)) < kind.positive and largest(values) < kind.negative:
        return 0
    exponent = values.dtype.type(kind.positive)
    return int(np.count_nonzero(np.bitwise_and(values, exponent) == exponent))
