"""Zstandard against frames of the real library (`zstandard` 0.25, in `tests/data/zstd`), and damaged ones."""

from __future__ import annotations

import json
import random

import pytest

from tests.conftest import REPOSITORY
from tui.core.formats.zstd import ZstdError, decompress

FRAMES = REPOSITORY / "tests" / "data" / "zstd"
KINDS = ("words", "skewed", "spread", "zeros", "noise", "short", "headers")


def plain(kind: str) -> bytes:
    """What the library was given: Huffman trees of both forms, all modes of tables, short and long distances."""
    numbers = random.Random(kind)
    match kind:
        case "words":
            words = [f"{numbers.getrandbits(40):x}" for _ in range(200)]
            return " ".join(numbers.choice(words) for _ in range(900)).encode()
        case "skewed":
            return bytes(numbers.choice(b"aaaaaaaaaaaabcdef") for _ in range(6000))
        case "spread":
            return bytes(int(numbers.gauss(100, 9)) & 255 for _ in range(3000))
        case "zeros":
            return bytes(300_000)
        case "noise":
            return numbers.randbytes(700)
        case "short":
            return b"abcabcabcabcabcd"
    rows = [{"shape": [numbers.randint(1, 99)], "dtype": "<f4", "n": index} for index in range(400)]
    return json.dumps(rows).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_of_the_real_library(kind: str) -> None:
    data, expected = (FRAMES / f"{kind}.zst").read_bytes(), plain(kind)
    assert decompress(data, len(expected)) == expected
    assert decompress(data + data, 2 * len(expected)) == 2 * expected
    with pytest.raises(ZstdError, match=r"more than|too large"):
        decompress(data, len(expected) - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_that_is_cut_short_anywhere(kind: str) -> None:
    data = (FRAMES / f"{kind}.zst").read_bytes()
    body = len(data) - (4 if kind == "headers" else 0)
    for cut in {*range(1, min(body, 60)), *range(60, body, 41), body - 1}:
        with pytest.raises(ZstdError):
            decompress(data[:cut], 1 << 20)


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes_raise_nothing_else_and_make_nothing_large(kind: str) -> None:
    data, numbers = (FRAMES / f"{kind}.zst").read_bytes(), random.Random(5)
    refused = 0
    for _ in range(120):
        changed = bytearray(data)
        for _ in range(numbers.randint(1, 3)):
            changed[numbers.randrange(len(changed))] = numbers.randrange(256)
        try:
            assert len(decompress(bytes(changed), 1 << 19)) <= 1 << 19
        except ZstdError:
            refused += 1
    assert refused


def test_dictionaries_and_what_is_no_frame() -> None:
    for data in (b"hello world", b"\x28\xb5\x2f\xfd\x01\x00", b"\x28\xb5\x2f\xfd\x08\x00", b"\x28\xb5\x2f\xfd"):
        with pytest.raises(ZstdError):
            decompress(data, 1000)
