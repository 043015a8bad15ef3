"""CRC-32C (Castagnoli), plain and as LevelDB masks it (`tensorflow/core/lib/hash/crc32c.h`)."""

from __future__ import annotations

import functools
from typing import Any

_POLYNOMIAL = 0x82F63B78
_LANE = 1 << 10
"""Bytes of a lane: many lanes are taken through at once, and their checksums are put together."""

_MOST_LANES = 1 << 12


def _tables() -> list[list[int]]:
    first = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (_POLYNOMIAL if number & 1 else 0)
        first.append(number)
    tables = [first]
    for _ in range(7):
        tables.append([(value >> 8) ^ first[value & 0xFF] for value in tables[-1]])
    return tables


_T: list[list[int]] = []


def _register(crc: int, data: bytes | memoryview) -> int:
    """The register after `data`; eight bytes a step, some 20 MB/s."""
    if not _T:
        _T.extend(_tables())
    t0, t1, t2, t3, t4, t5, t6, t7 = _T
    whole = len(data) & ~7
    for at in range(0, whole, 8):
        low = int.from_bytes(data[at : at + 4], "little") ^ crc
        crc = (
            t7[low & 0xFF] ^ t6[(low >> 8) & 0xFF] ^ t5[(low >> 16) & 0xFF] ^ t4[low >> 24]
            ^ t3[data[at + 4]] ^ t2[data[at + 5]] ^ t1[data[at + 6]] ^ t0[data[at + 7]]
        )  # fmt: skip
    for byte in data[whole:]:
        crc = (crc >> 8) ^ t0[(crc ^ byte) & 0xFF]
    return crc


def crc32c(data: bytes | memoryview, start: int = 0) -> int:
    """The checksum of `data`, or where `start` is that of what came before, of both; long ones at some 150 MB/s."""
    register = start ^ 0xFFFFFFFF
    position = 0
    while len(data) - position >= _LANE:
        lanes = min(1 << ((len(data) - position) // _LANE).bit_length() - 1, _MOST_LANES)
        end = position + lanes * _LANE
        register = _apply(_over(lanes * _LANE), register) ^ _lanes(data[position:end], lanes)
        position = end
    return _register(register, data[position:]) ^ 0xFFFFFFFF


def _lanes(data: bytes | memoryview, count: int) -> int:
    """The register that begins at zero after `data`: all lanes a word a step, then put together two by two."""
    import numpy as np

    words = np.ascontiguousarray(np.frombuffer(data, "<u4").reshape(count, -1).T)
    low, high = _word_tables()
    registers: Any = np.zeros(count, np.uint32)
    for row in words:
        registers ^= row
        registers = low[registers & 0xFFFF] ^ high[registers >> 16]
    size = _LANE
    while len(registers) > 1:
        registers = _apply(_over(size), registers[::2]) ^ registers[1::2]
        size *= 2
    return int(registers[0])


@functools.cache
def _word_tables() -> tuple[Any, Any]:
    """The register after four bytes of zeros, by its lower and by its upper half."""
    import numpy as np

    step = _over(4)
    halves: Any = np.arange(1 << 16, dtype=np.uint32)
    return _apply(step, halves), _apply(step, halves << np.uint32(16))


@functools.cache
def _over(count: int) -> tuple[int, ...]:
    """By bit of the register what `count` bytes of zeros, a power of two, make of it."""
    if count == 1:
        return tuple(_register(1 << bit, b"\0") for bit in range(32))
    half = _over(count // 2)
    return tuple(int(_apply(half, value)) for value in half)


def _apply(matrix: tuple[int, ...], registers: Any) -> Any:
    """Registers, one or an array of them, multiplied by a matrix over two elements."""
    out = registers & 0
    for bit, column in enumerate(matrix):
        out = out ^ (registers >> bit & 1) * column
    return out


def unmasked(value: int) -> int:
    """The checksum behind a masked one."""
    rotated = (value - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF
