"""The child's end of the pipe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ckptriage_worker.protocol import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator


class Channel:
    """Reads requests from one descriptor, writes events to another."""

    def __init__(self, requests: int, events: int) -> None:
        os.set_inheritable(requests, False)
        os.set_inheritable(events, False)
        self._requests = os.fdopen(requests, "rb", closefd=True)
        self._events = events

    def requests(self) -> Iterator[dict[str, Any]]:
        """Requests until the app closes its end."""
        for line in self._requests:
            message = decode(line)
            if message is not None:
                yield message

    def send(self, event: str, request: int = 0, **fields: Any) -> None:
        """Send one event; a closed pipe ends the process quietly, since nobody listens any more."""
        data = encode({"id": request, "event": event, **fields})
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._events, view) :]
        except BrokenPipeError:
            os._exit(0)
