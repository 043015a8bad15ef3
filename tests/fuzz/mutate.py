"""Mutations of valid files: flipped bytes, cuts, repeats, splices, numbers made large. The same for the same seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERESTING = (
    b"\0",
    b"\xff" * 4,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"NaN",
    b"1e999",
    b"-1",
    b"[" * 50,
    b".",
    b"R",
    b"\x93",
)


def mutated(data: bytes, seed: int) -> bytes:
    """One mutation of `data`."""
    chance = random.Random(seed)
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not out:
            return bytes(out)
        at = chance.randrange(len(out))
        match chance.randrange(6):
            case 0:
                out[at] ^= 1 << chance.randrange(8)
            case 1:
                del out[at:]
            case 2:
                out[at:at] = chance.choice(INTERESTING)
            case 3:
                piece = chance.choice(INTERESTING)
                out[at : at + len(piece)] = piece
            case 4:
                del out[at : at + chance.randint(1, 16)]
            case _:
                start = chance.randrange(len(out))
                out[at:at] = out[start : start + chance.randint(1, 64)]
    return bytes(out)


def in_place(data: bytes, seed: int) -> bytes:
    """One mutation that moves nothing, so that lengths and addresses further on still hold."""
    chance = random.Random(seed)
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out))
        if chance.randrange(2):
            out[at] ^= 1 << chance.randrange(8)
            continue
        piece = chance.choice(INTERESTING) if chance.randrange(2) else out[at // 2 : at // 2 + chance.randint(1, 16)]
        out[at : at + len(piece)] = piece[: len(out) - at]
    return bytes(out)


def many(data: bytes, first: int, count: int) -> Iterator[tuple[int, bytes]]:
    """`count` mutations with the seeds from `first` on."""
    for seed in range(first, first + count):
        yield seed, mutated(data, seed)
