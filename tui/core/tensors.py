"""Tensors as headers describe them: name, dtype, shape, place; never their values."""

from __future__ import annotations

from math import prod

import msgspec

DTYPE_BITS: dict[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
    "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64, "C128": 128, "QI8": 8, "QU8": 8, "QI32": 32, "C32": 32,
}  # fmt: skip
"""Bits of one element by dtype, under the names that safetensors 0.8 (`Dtype`) uses, plus torch's quantized ones."""

TORCH_STORAGE: dict[str, str] = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL", "ComplexFloatStorage": "C64", "ComplexDoubleStorage": "C128", "QInt8Storage": "QI8",
    "QUInt8Storage": "QU8", "QInt32Storage": "QI32", "UntypedStorage": "U8", "ComplexHalfStorage": "C32",
}  # fmt: skip
"""torch's storage classes by the dtype they hold (`torch/storage.py`, 2.13)."""

TORCH_DTYPES: dict[str, str] = {
    "float64": "F64", "double": "F64", "float32": "F32", "float": "F32", "float16": "F16", "half": "F16",
    "bfloat16": "BF16", "int64": "I64", "long": "I64", "int32": "I32", "int": "I32", "int16": "I16", "short": "I16",
    "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
    "complex64": "C64", "complex128": "C128", "complex32": "C32", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0", "qint8": "QI8", "quint8": "QU8", "qint32": "QI32",
    "float4_e2m1fn_x2": "F4",
}  # fmt: skip
"""torch dtypes by the name used here."""

TORCH_NAMES: dict[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64", "BOOL": "bool",
    "C64": "complex64", "C128": "complex128", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # fmt: skip
"""The torch dtype for each dtype that safetensors can hold."""

FLOATING = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
"""Dtypes that torch calls floating point."""


STATE_ROLES = frozenset({"optimizer", "bookkeeping", "metric"})
"""Roles of arrays that a training run keeps and that are no parameters of the model."""


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """One named tensor in one file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    file: str = ""
    """The file's name relative to the checkpoint."""

    offset: int | None = None
    """Where its bytes begin in the file; `None` where the format does not say."""

    storage: str = ""
    """Identity of the storage it views, where formats share storages; empty where each tensor owns its bytes."""

    stride: tuple[int, ...] | None = None
    """Elements between neighbours in each dimension; `None` means contiguous."""

    device: str = ""
    """The device it was saved from, where the format records it (`cuda:0`)."""

    role: str = ""
    """`optimizer`, `buffer`, `constant`, … where the format tells; empty for a plain tensor."""

    @property
    def numel(self) -> int:
        """How many elements."""
        return prod(self.shape)


def bytes_of(dtype: str, shape: tuple[int, ...]) -> int | None:
    """Bytes of a dense tensor, rounded up; `None` where the dtype is unknown."""
    bits = DTYPE_BITS.get(dtype)
    return None if bits is None else (prod(shape) * bits + 7) // 8


def without_state(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Those that are parameters of the model, and no state of a training run."""
    return tuple([tensor for tensor in tensors if tensor.role not in STATE_ROLES])


def distinct(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The first of all tensors that share a storage: tied weights are held once."""
    if {tensor.storage for tensor in tensors} <= {""}:
        return tensors
    seen: set[tuple[str, str]] = set()
    kept: list[Tensor] = []
    for tensor in tensors:
        key = (tensor.file, tensor.storage)
        if tensor.storage and key in seen:
            continue
        seen.add(key)
        kept.append(tensor)
    return tuple(kept)


def elements_of(tensors: tuple[Tensor, ...]) -> int:
    """Elements in `tensors`."""
    return sum([prod(tensor.shape) for tensor in tensors])


class Tally(msgspec.Struct, frozen=True):
    """Bytes of tensors, each shared storage once."""

    bytes: int = 0
    by_dtype: dict[str, int] = {}
    """Bytes by dtype, largest first."""

    largest: int = 0
    """Bytes of the largest one."""


def tally(tensors: tuple[Tensor, ...]) -> Tally:
    """The sums over `tensors`, which share no storage (`distinct`)."""
    sizes = [tensor.nbytes for tensor in tensors]
    by_dtype: dict[str, int] = {}
    for tensor in tensors:
        by_dtype[tensor.dtype] = by_dtype.get(tensor.dtype, 0) + tensor.nbytes
    return Tally(sum(sizes), dict(sorted(by_dtype.items(), key=_largest_first)), max(sizes, default=0))


def _largest_first(item: tuple[str, int]) -> int:
    return -item[1]
