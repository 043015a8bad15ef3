"""Elements of a tensor read from its file, rows at a time: decoded, in the order in which they are compared.

The block formats are those of `gguf/quants.py` 0.19 (`Q4_0`, `Q4_1`, `Q5_0`, `Q5_1`, `Q8_0`).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tui.core.files import RegularFile
    from tui.core.relatives.entries import Entry

PLAIN: dict[str, str] = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BF16": "u2", "F8_E5M2": "u1", "F8_E4M3": "u1", "I64": "i8", "I32": "i4",
    "I16": "i2", "I8": "i1", "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "u1", "C64": "c8",
    "C128": "c16", "QI8": "i1", "QU8": "u1", "QI32": "i4",
}  # fmt: skip
"""numpy's element for each dtype whose elements are whole bytes."""

BLOCKS: dict[str, tuple[int, int]] = {
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34),
}  # fmt: skip
"""(elements, bytes) of a block for the quantized types that are decoded here."""

WHOLE = 1 << 28
"""A tensor whose elements must be put in another order is read at once up to so many bytes."""


class NotDecoded(Exception):
    """The elements cannot be had; the message says why."""


def sizes(dtype: str) -> tuple[int, int]:
    """(elements, bytes) that belong together; `NotDecoded` for a dtype that is not read here."""
    if dtype in PLAIN:
        return 1, np.dtype(PLAIN[dtype]).itemsize
    if dtype in BLOCKS:
        return BLOCKS[dtype]
    raise NotDecoded(f"values of {dtype} are not decoded")


def decode(data: bytes, dtype: str, order: str = "<") -> NDArray[Any]:
    """The elements of `data`, flat, as float32 or float64 (complex where they are)."""
    if dtype in BLOCKS:
        return _blocks(np.frombuffer(data, np.uint8).reshape(-1, BLOCKS[dtype][1]), dtype)
    values = np.frombuffer(data, order + PLAIN[dtype])
    if dtype == "BF16":
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "F8_E5M2":
        return (values.astype(np.uint16) << np.uint16(8)).view(np.float16).astype(np.float32)
    if dtype == "F8_E4M3":
        return _E4M3[values]
    if dtype in ("F16", "F32"):
        return values.astype(np.float32, copy=False)
    return values.astype(np.complex128 if dtype in ("C64", "C128") else np.float64, copy=False)


def _e4m3() -> NDArray[Any]:
    """All 256 values of torch.float8_e4m3fn: no infinities, one pattern that is not a number."""
    code = np.arange(256)
    exponent, mantissa = (code >> 3) & 15, code & 7
    value = np.where(exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (exponent - 10.0))
    value[(code & 127) == 127] = np.nan
    return np.where(code & 128, -value, value).astype(np.float32)


_E4M3 = _e4m3()


def _blocks(rows: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Blocks of 32: a scale, for some a least value and a fifth bit, then the numbers."""
    scale = rows[:, :2].copy().view("<f2").astype(np.float32)
    rest = rows[:, 2:]
    least = None
    if dtype in ("Q4_1", "Q5_1"):
        least, rest = rest[:, :2].copy().view("<f2").astype(np.float32), rest[:, 2:]
    if dtype == "Q8_0":
        return (scale * rest.view(np.int8).astype(np.float32)).reshape(-1)
    high: NDArray[Any] | int = 0
    if dtype in ("Q5_0", "Q5_1"):
        fifth, rest = rest[:, :4].copy().view("<u4"), rest[:, 4:]
        high = ((fifth >> np.arange(32, dtype=np.uint32)) & 1).astype(np.uint8) << 4
    numbers = np.concatenate([rest & 15, rest >> 4], axis=1) | high
    if least is not None:
        return (scale * numbers.astype(np.float32) + least).reshape(-1)
    middle = 16 if dtype == "Q5_0" else 8
    return (scale * (numbers.astype(np.float32) - np.float32(middle))).reshape(-1)


class Rows:
    """The rows of one tensor, as they are compared."""

    def __init__(self, file: RegularFile, entry: Entry) -> None:
        """`NotDecoded` where the place, the order or the dtype of the elements is not known."""
        if entry.tensor.offset is None:
            raise NotDecoded("its place in the file is not known")
        if entry.axes is None:
            raise NotDecoded("it is a view that skips elements")
        self.file = file
        self.entry = entry
        self.group, self.width = sizes(entry.tensor.dtype)
        self._turned: NDArray[Any] | None = None

    @property
    def is_flat(self) -> bool:
        """Whether elements can be read front to back."""
        return self.entry.axes == tuple(range(len(self.entry.shape))) and not self.entry.heads

    def raw(self, begin: int, end: int) -> bytes:
        """Bytes of the elements from `begin` to `end`, in the order of the file."""
        first, last = (place // self.group * self.width for place in (begin, end))
        return self.file.read((self.entry.tensor.offset or 0) + first, last - first)

    def flat(self, begin: int, end: int) -> NDArray[Any]:
        """Elements in the order of the file."""
        values = decode(self.raw(begin, end), self.entry.tensor.dtype, self.entry.order)
        return values - values.dtype.type(self.entry.shift) if self.entry.shift else values

    def rows(self, begin: int, end: int) -> NDArray[Any]:
        """Rows of the compared shape; a tensor whose rows lie scattered is turned once and kept."""
        entry = self.entry
        if self.is_flat or entry.heads:
            inner = prod(entry.shape[1:])
            values = self.flat(begin * inner, end * inner).reshape(end - begin, *entry.shape[1:])
            return self._unrotated(values) if entry.heads else values
        if self._turned is None:
            count = prod(entry.shape)
            if count * self.width > WHOLE:
                raise NotDecoded("its elements lie in another order, and it is too large to be turned")
            self._turned = self.flat(0, count).reshape(entry.stored).transpose(entry.axes)
        return self._turned[begin:end]

    def _unrotated(self, values: NDArray[Any]) -> NDArray[Any]:
        """Rows of whole heads as they were before llama.cpp interleaved their halves."""
        size = self.entry.shape[0] // self.entry.heads
        split = values.reshape(-1, size // 2, 2, *values.shape[1:])
        return split.swapaxes(1, 2).reshape(values.shape)
