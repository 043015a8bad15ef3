"""Whether this kernel can shut a child off from the user's files, and hiding the app's own memory from it."""

from __future__ import annotations

import ctypes
import sys

_CREATE_RULESET = 444
_SET_DUMPABLE = 4


def can_isolate() -> bool:
    """Whether the kernel has Landlock, which the child applies to itself."""
    if sys.platform != "linux":
        return False
    try:
        library = ctypes.CDLL(None, use_errno=True)
        version = library.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except (OSError, AttributeError):
        return False
    return int(version) >= 1


def protect_own_memory() -> None:
    """Make `/proc/PID/mem` of this process unreadable to children of the same user."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, AttributeError):
        return
