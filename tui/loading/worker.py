"""The warm worker: one process per Python environment that answers comparisons while the app runs."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tui.core.text import printable
from tui.errors import WorkerError
from tui.loading.child import Child, default_python
from tui.loading.isolation import is_below, isolation_words, places_of, protect_own_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

START_TIMEOUT = 180.0
REQUEST_TIMEOUT = 60.0


@dataclass
class EnvironmentInfo:
    """Who the worker is, once it has said so."""

    python: str = ""
    executable: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    available: bool | None = None
    """Whether torch and transformers answer there; `None` while it is not known."""

    reason: str = ""
    seconds: float = 0.0
    isolation: str = ""
    """Which layers shut the worker in, as the log says it; empty until it has told."""


class Worker:
    """Starts on first use, is started again when it died, and fails only the request that killed it."""

    def __init__(
        self,
        python: str | None = None,
        on_change: Callable[[], None] | None = None,
        readable: Iterable[str] = (),
    ) -> None:
        self.python = python or default_python()
        self.environment = EnvironmentInfo(executable=self.python)
        self._on_change = on_change
        self.readable = [place for path in readable for place in places_of(path)]
        """What of the user's files the worker may read: tokenizers are read from there, weights never."""

        self._child: Child | None = None
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._hello: asyncio.Event = asyncio.Event()
        self._ready: asyncio.Event = asyncio.Event()
        self._stderr: deque[str] = deque(maxlen=40)
        self._lock = asyncio.Lock()
        self.opened: set[str] = set()
        """Keys of the checkpoints whose tensors the worker holds."""

    async def ready(self) -> EnvironmentInfo:
        """Wait until the libraries are imported, or are known not to be there."""
        await self._ensure()
        await self._wait(self._ready, START_TIMEOUT, "did not become ready")
        return self.environment

    async def hello(self) -> EnvironmentInfo:
        """Wait only until the interpreter has named its packages."""
        await self._ensure()
        await self._wait(self._hello, START_TIMEOUT, "did not answer")
        return self.environment

    async def _wait(self, event: asyncio.Event, timeout: float, words: str) -> None:
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            await self.close()
            raise WorkerError(f"the worker under {printable(self.python)} {words} in {timeout:.0f} s") from None
        if self._child is None:
            raise WorkerError(self._last_words(), "run the same interpreter by hand to see whether it starts")

    async def _ensure(self) -> None:
        async with self._lock:
            if self._child is not None:
                return
            self._hello.clear()
            self._ready.clear()
            self.opened.clear()
            child = Child(self.python, "serve", self._receive, self._text, self._lost)
            protect_own_memory()
            await child.start()
            await child.send({"op": "confine", "readable": self.readable})
            self._child = child

    async def request(self, operation: str, timeout: float = REQUEST_TIMEOUT, **fields: Any) -> dict[str, Any]:
        """One question and its answer; raises `WorkerError` where the worker fails, dies or hangs."""
        if "path" in fields:
            await self._open_up(str(fields["path"]))
        await self._ensure()
        await self._wait(self._ready, START_TIMEOUT, "did not become ready")
        child = self._child
        if child is None:
            raise WorkerError(self._last_words())
        self._number += 1
        number = self._number
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            await child.send({"id": number, "op": operation, **fields})
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            await self.close()
            raise WorkerError(f"the worker did not answer {operation} in {timeout:.0f} s and was ended") from None
        except asyncio.CancelledError:
            child.withdraw(number)
            raise
        finally:
            self._pending.pop(number, None)

    async def _open_up(self, path: str) -> None:
        """Make sure that a directory may be read; a process that is shut in without it is replaced."""
        wanted = await asyncio.to_thread(places_of, path)
        missing = [place for place in wanted if not is_below(place, self.readable)]
        if not missing:
            return
        self.readable += missing
        if self._pending:
            await asyncio.wait(list(self._pending.values()))
        await self.close()

    def _receive(self, message: dict[str, Any]) -> None:
        match message.get("event"):
            case "hello":
                self.environment.python = str(message.get("python", ""))
                self.environment.executable = str(message.get("executable", self.python))
                packages = message.get("packages")
                self.environment.packages = packages if isinstance(packages, dict) else {}
                self._hello.set()
            case "ready":
                self.environment.available = bool(message.get("available"))
                self.environment.reason = printable(str(message.get("reason", "")))
                self.environment.seconds = float(message.get("seconds") or 0.0)
                self._ready.set()
            case "confined":
                self.environment.isolation = isolation_words(str(message.get("level", "")), message)
            case "result" | "failed" as kind:
                self._answer(kind, message)
            case _:
                return
        if self._on_change is not None:
            self._on_change()

    def _answer(self, kind: str, message: dict[str, Any]) -> None:
        future = self._pending.get(message.get("id", -1))
        if future is None or future.done():
            return
        if kind == "result":
            future.set_result(message.get("answer") or {})
            return
        error = message.get("error") or {}
        future.set_exception(WorkerError(f"{error.get('type', 'Error')}: {printable(str(error.get('message', '')))}"))

    def _text(self, stream: str, line: str) -> None:
        self._stderr.append(printable(line))

    def _lost(self) -> None:
        """The child closed its pipes: fail what is pending, let waiters look."""
        self._child = None
        self.opened.clear()
        words = self._last_words()
        for future in self._pending.values():
            if not future.done():
                future.set_exception(WorkerError(words, "it is started again with the next request"))
        self._hello.set()
        self._ready.set()

    def _last_words(self) -> str:
        tail = self._stderr[-1] if self._stderr else "it said nothing"
        return f"the worker under {printable(self.python)} ended: {tail}"

    async def close(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child is not None:
            await child.close()
