"""The child's end of the pipe."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any

from ckptriage_worker.protocol import MAX_LINE, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHUNK = 1 << 20


class Channel:
    """Reads requests from one descriptor, writes events to another."""

    def __init__(self, requests: int, events: int) -> None:
        os.set_inheritable(requests, False)
        os.set_inheritable(events, False)
        self._requests = requests
        self._events = events
        self._pending = bytearray()
        self.closed = False
        """Whether the app has closed its end."""

    def requests(self) -> Iterator[dict[str, Any]]:
        """Requests until the app closes its end."""
        while not self.closed:
            yield from self.arrived((), None)[0]

    def arrived(self, others: Sequence[int], timeout: float | None) -> tuple[list[dict[str, Any]], list[int]]:
        """Requests that have arrived, and which of `others` can be read; waits at most `timeout` seconds."""
        ready, _, _ = select.select([self._requests, *others], [], [], timeout)
        messages = self._read() if self._requests in ready else []
        return messages, [descriptor for descriptor in others if descriptor in ready]

    def _read(self) -> list[dict[str, Any]]:
        chunk = os.read(self._requests, _CHUNK)
        if not chunk:
            self.closed = True
            return []
        self._pending += chunk
        if b"\n" not in chunk:
            if len(self._pending) > MAX_LINE:
                self._pending.clear()
            return []
        *lines, rest = self._pending.split(b"\n")
        self._pending = bytearray(rest)
        found = [decode(bytes(line)) for line in lines]
        return [message for message in found if message is not None]

    def send(self, event: str, request: int = 0, **fields: Any) -> None:
        """Send one event; a closed pipe ends the process quietly, since nobody listens any more."""
        data = encode({"id": request, "event": event, **fields})
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._events, view) :]
        except BrokenPipeError:
            os._exit(0)
