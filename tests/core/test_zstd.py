"""Zstandard frames: whole ones, damaged ones, and those that would fill the memory."""

from __future__ import annotations

import random

import pytest
import zstandard

from tui.core.formats.zstd import ZstdError, decompress

PLAIN = b"".join(b"layers.%d.attention.query " % number for number in range(3000))
FRAME = zstandard.compress(PLAIN)


def test_frames_give_what_was_compressed() -> None:
    assert decompress(FRAME, len(PLAIN)) == PLAIN
    assert decompress(FRAME + FRAME, 2 * len(PLAIN)) == 2 * PLAIN
    assert decompress(b"", 10) == b""


@pytest.mark.parametrize("data", [FRAME, FRAME + FRAME, zstandard.compress(bytes(1 << 30))])
def test_no_more_than_the_limit(data: bytes) -> None:
    with pytest.raises(ZstdError, match="holds more than"):
        decompress(data, len(PLAIN) - 1)


def test_a_frame_that_is_cut_short_anywhere() -> None:
    for cut in (*range(1, 40), *range(40, len(FRAME), 17), len(FRAME) - 1):
        with pytest.raises(ZstdError):
            decompress(FRAME[:cut], 1 << 20)


def test_changed_bytes_raise_nothing_else() -> None:
    numbers, refused = random.Random(5), 0
    for _ in range(300):
        changed = bytearray(FRAME)
        for _ in range(numbers.randint(1, 3)):
            changed[numbers.randrange(len(changed))] = numbers.randrange(256)
        try:
            assert len(decompress(bytes(changed), 1 << 19)) <= 1 << 19
        except ZstdError as error:
            assert 0 <= error.offset <= len(changed)
            refused += 1
    assert refused


def test_what_is_no_frame() -> None:
    with pytest.raises(ZstdError):
        decompress(b"hello world", 1000)
