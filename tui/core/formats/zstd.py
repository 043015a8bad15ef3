"""Zstandard frames, bounded: the small pieces that checkpoints keep compressed, never the weights.

A frame of a few bytes may say that it holds terabytes, so the library is fed little by little and stopped at a limit.
"""

from __future__ import annotations

import zstandard

_STEP = 256
"""Bytes fed at once: as blocks of one repeated byte they give 8 MiB at most."""

_WINDOW = 64 << 20
"""Memory that a frame may ask for to look back into."""


class ZstdError(Exception):
    """The bytes are no Zstandard frame: where, and why."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def decompress(data: bytes, limit: int) -> bytes:
    """What the frames in `data` hold; `ZstdError` where they are damaged, cut short, or hold more than `limit`."""
    out = bytearray()
    offset = 0
    while offset < len(data):
        frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        while not frame.eof:
            if offset >= len(data):
                raise ZstdError("the frame is cut short", offset)
            try:
                out += frame.decompress(data[offset : offset + _STEP])
            except zstandard.ZstdError as error:
                raise ZstdError(f"is damaged: {error}", offset) from None
            if len(out) > limit:
                raise ZstdError(f"holds more than {limit:,} bytes", offset)
            offset += _STEP
        offset = min(offset, len(data)) - len(frame.unused_data)
    return bytes(out)
