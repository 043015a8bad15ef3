"""CRC-32C (Castagnoli), plain and as LevelDB masks it (`tensorflow/core/lib/hash/crc32c.h`).

No package is asked: short pieces go through tables in Python, long ones through numpy, 8,192 lanes at once, at a speed
beside which SHA-256 is the slower one. (`google-crc32c` would be faster still, and one more native library to trust.)
"""

from __future__ import annotations

from functools import cache
from typing import Any

_POLYNOMIAL = 0x82F63B78
LANES = 1 << 13
"""Words of four bytes that are taken in at once."""

_LONG = 4 * LANES
"""Bytes from which numpy is worth its start."""


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


def crc32c(data: bytes | memoryview, start: int = 0) -> int:
    """The checksum of `data`, or where `start` is that of what came before, of both."""
    state = start ^ 0xFFFFFFFF
    whole = len(data) // _LONG * _LONG
    if whole:
        state = _in_lanes(data, whole, state)
    return _by_tables(data[whole:] if whole else data, state) ^ 0xFFFFFFFF


def _by_tables(data: bytes | memoryview, crc: int) -> int:
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


def _in_lanes(data: bytes | memoryview, count: int, crc: int) -> int:
    """The register after the first `count` bytes, a multiple of a row of lanes.

    The register is linear in what was read. So every lane takes each `LANES`-th word, is moved on by a whole row
    between two of them, and the lanes are joined at the end, the left neighbour moved on by the length of the right.
    """
    import numpy as np

    rows = np.frombuffer(data, "<u4", count // 4).reshape(-1, LANES)
    lanes = rows[0].copy()
    lanes[0] ^= np.uint32(crc)
    low, high = _row_tables()
    for row in rows[1:]:
        lanes = low.take(lanes & 0xFFFF) ^ high.take(lanes >> 16) ^ row
    length = 4
    while lanes.size > 1:
        lanes = _moved(length, lanes[0::2]) ^ lanes[1::2]
        length *= 2
    return int(_moved(4, lanes)[0])


def _moved(count: int, registers: Any) -> Any:
    """Registers after `count` bytes of zero, `count` being a power of two."""
    first, second, third, fourth = _byte_tables(count)
    return (
        first.take(registers & 0xFF) ^ second.take(registers >> 8 & 0xFF) ^ third.take(registers >> 16 & 0xFF)
        ^ fourth.take(registers >> 24)
    )  # fmt: skip


@cache
def _bits(count: int) -> tuple[int, ...]:
    """Where each bit of the register has gone after `count` bytes of zero, `count` being a power of two."""
    if count == 1:
        first = _tables()[0]
        return tuple((bit >> 8) ^ first[bit & 0xFF] for bit in (1 << place for place in range(32)))
    half = _bits(count // 2)
    return tuple(_applied(half, value) for value in half)


def _applied(bits: tuple[int, ...], value: int) -> int:
    out = 0
    for place in range(32):
        if value >> place & 1:
            out ^= bits[place]
    return out


def _spread(bits: tuple[int, ...]) -> Any:
    """A table of the operator over as many bits as are given."""
    import numpy as np

    table: Any = np.zeros(1, np.uint32)
    for bit in bits:
        table = np.concatenate([table, table ^ np.uint32(bit)])
    return table


@cache
def _byte_tables(count: int) -> tuple[Any, Any, Any, Any]:
    bits = _bits(count)
    return _spread(bits[:8]), _spread(bits[8:16]), _spread(bits[16:24]), _spread(bits[24:])


@cache
def _row_tables() -> tuple[Any, Any]:
    bits = _bits(4 * LANES)
    return _spread(bits[:16]), _spread(bits[16:])


def unmasked(value: int) -> int:
    """The checksum behind a masked one."""
    rotated = (value - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def masked(crc: int) -> int:
    """A checksum as LevelDB and tensor bundles store it."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
