"""Work in a copy of this process that is thrown away afterwards.

The libraries are imported already, so a copy is ready at once; what it builds is not kept, what it breaks is not ours,
and it can be ended at any moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20
_MOST = 256 << 20


def possible() -> bool:
    """Whether this system can copy a process that has imported the libraries."""
    return sys.platform == "linux" and hasattr(os, "fork")


class Forked:
    """One piece of work in a copy of this process; its answer arrives on `descriptor`."""

    def __init__(self, work: Callable[[], dict[str, Any]], seconds: float) -> None:
        self.descriptor, write = os.pipe()
        self.deadline = time.monotonic() + seconds
        self._data = bytearray()
        self.process = os.fork()
        if self.process == 0:
            os.close(self.descriptor)
            _work(work, write)
        os.close(write)

    def read(self) -> bool:
        """Take what has arrived; whether the work is over."""
        chunk = os.read(self.descriptor, _CHUNK)
        self._data += chunk
        return not chunk or len(self._data) > _MOST

    def answer(self) -> dict[str, Any] | None:
        """What the copy answered, `None` where it ended without an answer."""
        self.end()
        try:
            value = json.loads(bytes(self._data))
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def end(self) -> None:
        """End the copy and forget it."""
        os.close(self.descriptor)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def _work(work: Callable[[], dict[str, Any]], write: int) -> None:
    """The copy's life: work, answer, end; never back into the server's loop."""
    from ckptriage_worker.start import die_with_parent

    code = 1
    try:
        die_with_parent()
        data = memoryview(json.dumps(work()).encode("ascii"))
        while data:
            data = data[os.write(write, data) :]
        code = 0
    except BaseException:  # nothing may escape into the copy of the server
        code = 1
    finally:
        os._exit(code)
