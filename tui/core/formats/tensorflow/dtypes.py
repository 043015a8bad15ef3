"""TensorFlow's `DataType` (`tensorflow/core/framework/types.proto`, 2.21) under the names used here and its own."""

from __future__ import annotations

_ROWS: tuple[tuple[int, str, str, int], ...] = (
    (1, "float32", "F32", 4), (2, "float64", "F64", 8), (3, "int32", "I32", 4), (4, "uint8", "U8", 1),
    (5, "int16", "I16", 2), (6, "int8", "I8", 1), (7, "string", "STRING", 0), (8, "complex64", "C64", 8),
    (9, "int64", "I64", 8), (10, "bool", "BOOL", 1), (11, "qint8", "QI8", 1), (12, "quint8", "QU8", 1),
    (13, "qint32", "QI32", 4), (14, "bfloat16", "BF16", 2), (15, "qint16", "QI16", 2), (16, "quint16", "QU16", 2),
    (17, "uint16", "U16", 2), (18, "complex128", "C128", 16), (19, "float16", "F16", 2),
    (20, "resource", "RESOURCE", 0), (21, "variant", "VARIANT", 0), (22, "uint32", "U32", 4), (23, "uint64", "U64", 8),
    (24, "float8_e5m2", "F8_E5M2", 1), (25, "float8_e4m3fn", "F8_E4M3", 1),
    (26, "float8_e4m3fnuz", "F8_E4M3FNUZ", 1), (27, "float8_e4m3b11fnuz", "F8_E4M3B11FNUZ", 1),
    (28, "float8_e5m2fnuz", "F8_E5M2FNUZ", 1), (29, "int4", "I4", 1), (30, "uint4", "U4", 1),
    (31, "int2", "I2", 1), (32, "uint2", "U2", 1),
)  # fmt: skip

TENSORFLOW_NAMES: dict[int, str] = {number: name for number, name, _, _ in _ROWS}
"""`DT_INT32` as `int32`."""

OUR_NAMES: dict[int, str] = {number: ours for number, _, ours, _ in _ROWS}
ITEM_SIZES: dict[int, int] = {number: size for number, _, _, size in _ROWS if size}
"""Bytes of one element; strings, resources and variants have no fixed size."""


def name_of(number: int) -> str:
    """The dtype's name in TensorFlow; references (`float32_ref`) are 100 higher."""
    if number > 100:
        return f"{TENSORFLOW_NAMES.get(number - 100, f'dtype {number - 100}')}_ref"
    return TENSORFLOW_NAMES.get(number, f"dtype {number}")


def our_name(number: int) -> str:
    """The dtype's name as the other readers give it."""
    return OUR_NAMES.get(number, f"DT{number}")
