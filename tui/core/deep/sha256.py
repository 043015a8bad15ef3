"""sha256 whose state can be kept and taken up again.

hashlib cannot give its state away, so OpenSSL's own functions are called where its library can be loaded
(`SHA256_Init`, `SHA256_Update`, `SHA256_Final` of libcrypto 1.1 and 3; `SHA256_CTX` in `openssl/sha.h`). Where it
cannot, or does not behave as expected, hashlib answers and has no state to keep.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK = 64
"""Bytes after which the state is eight words and a count."""

_LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.3.dylib")


class _Context(ctypes.Structure):
    """`SHA256_CTX`."""

    _fields_ = (
        ("words", ctypes.c_uint32 * 8),
        ("low", ctypes.c_uint32),
        ("high", ctypes.c_uint32),
        ("data", ctypes.c_uint32 * 16),
        ("held", ctypes.c_uint),
        ("length", ctypes.c_uint),
    )


class Sha256:
    """A checksum in progress."""

    def __init__(self, state: Sequence[int] | None = None, count: int = 0) -> None:
        """From the beginning, or from the eight words after `count` bytes, a multiple of `BLOCK`."""
        self.count = count
        self._library = _library()
        self._plain: Any = hashlib.sha256() if self._library is None else None
        if state is not None and (self._library is None or count % BLOCK or len(state) != 8):
            raise ValueError("this state cannot be taken up")
        if self._library is not None:
            self._context = _Context()
            self._library.SHA256_Init(ctypes.byref(self._context))
            if state is not None:
                self._context.words[:] = list(state)
                bits = count * 8
                self._context.low, self._context.high = bits & 0xFFFFFFFF, bits >> 32 & 0xFFFFFFFF

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes."""
        self.count += len(data)
        if self._library is None:
            self._plain.update(data)
            return
        view = memoryview(data)
        if view.readonly:
            self._library.SHA256_Update(ctypes.byref(self._context), bytes(view), len(view))
        elif len(view):
            pointer = (ctypes.c_char * len(view)).from_buffer(view)
            self._library.SHA256_Update(ctypes.byref(self._context), pointer, len(view))

    @property
    def state(self) -> tuple[int, list[int]] | None:
        """(bytes, eight words) after the last whole block; `None` where the library gives no state away."""
        if self._library is None:
            return None
        return self.count - self.count % BLOCK, list(self._context.words)

    def hexdigest(self) -> str:
        """The checksum; nothing can be added after it."""
        if self._library is None:
            return str(self._plain.hexdigest())
        out = ctypes.create_string_buffer(32)
        self._library.SHA256_Final(out, ctypes.byref(self._context))
        return out.raw.hex()


@functools.cache
def _library() -> Any:
    """libcrypto where it can be loaded and keeps its state as its header says, else `None`."""
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            library.SHA256_Update.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
            library.SHA256_Init.argtypes = (ctypes.c_void_p,)
            library.SHA256_Final.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        except (OSError, AttributeError):
            continue
        if _behaves(library):
            return library
    return None


def _behaves(library: Any) -> bool:
    """Whether a state that was copied out and in again leads to hashlib's checksum."""
    data = bytes(range(256)) * 2
    first, second, out = _Context(), _Context(), ctypes.create_string_buffer(32)
    library.SHA256_Init(ctypes.byref(first))
    library.SHA256_Update(ctypes.byref(first), data[:128], 128)
    library.SHA256_Init(ctypes.byref(second))
    second.words[:], second.low = list(first.words), 128 * 8
    library.SHA256_Update(ctypes.byref(second), data[128:], len(data) - 128)
    library.SHA256_Final(out, ctypes.byref(second))
    return out.raw == hashlib.sha256(data).digest()
