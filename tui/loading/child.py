"""Starting the child: interpreter, environment, pipes. Shared by the warm worker and by load attempts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tui.core.text import printable
from tui.errors import WorkerError
from tui.worker.protocol import MAX_LINE, OFFLINE, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_START = Path(__file__).parent.parent / "worker" / "start.py"
_KEPT = ("PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "LD_LIBRARY_PATH", "CONDA_PREFIX")
_MAX_TEXT_LINE = 1 << 16


def default_python() -> str:
    """The app's own interpreter."""
    return sys.executable


def child_environment(place: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A scrubbed environment: no tokens, no agent sockets, no network; home and caches in a directory of its own."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment.update(OFFLINE)
    environment.update(HOME=place, TMPDIR=place, XDG_CACHE_HOME=place, HF_HOME=str(Path(place) / "hf"))
    environment["CUDA_VISIBLE_DEVICES"] = ""
    environment["PYTHONUSERBASE"] = os.environ.get("PYTHONUSERBASE", str(Path.home() / ".local"))
    environment["CKPTRIAGE_PATHS"] = os.pathsep.join(_vouched_paths())
    environment.update(extra or {})
    return environment


def _vouched_paths() -> list[str]:
    """Absolute `PYTHONPATH` entries that only this user can write to."""
    out: list[str] = []
    for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if not entry or not Path(entry).is_absolute():
            continue
        try:
            mode = os.stat(entry).st_mode
        except OSError:
            continue
        if not mode & 0o002:
            out.append(entry)
    return out


def _decoded(line: bytes) -> dict[str, Any] | None:
    """A message, decoded three times as fast as by the standard library; what that refuses goes there."""
    try:
        message = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode(line)
    return message if isinstance(message, dict) else None


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(message) + b"\n"
    except (TypeError, UnicodeEncodeError, RecursionError):
        return encode(message)


class Lines(asyncio.Protocol):
    """Splits a pipe into lines and hands each to a callback."""

    def __init__(self, receive: Callable[[bytes], None], closed: Callable[[], None], limit: int) -> None:
        self._receive = receive
        self._closed = closed
        self._limit = limit
        self._pending = bytearray()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio with what arrived; `\\r` ends a line too, since progress bars use it."""
        self._pending += data
        if b"\n" not in data and b"\r" not in data:
            if len(self._pending) > self._limit:
                self._receive(bytes(self._pending[: self._limit]))
                self._pending.clear()
            return
        *lines, rest = self._pending.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._pending = bytearray(rest)
        for line in lines:
            if line:
                self._receive(bytes(line))

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio when the pipe closed."""
        if self._pending:
            self._receive(bytes(self._pending))
            self._pending.clear()
        self._closed()


class Child:
    """One child process with a pipe for requests, a pipe for events, and captured output."""

    def __init__(
        self,
        python: str,
        mode: str,
        on_event: Callable[[dict[str, Any]], None],
        on_text: Callable[[str, str], None],
        on_closed: Callable[[], None],
    ) -> None:
        self.python = python
        self.mode = mode
        self._on_event = on_event
        self._on_text = on_text
        self._on_closed = on_closed
        self.process: asyncio.subprocess.Process | None = None
        self._place = ""
        self._writer: int = -1
        self._transports: list[asyncio.BaseTransport] = []
        self._output_open = 0
        self.drained = asyncio.Event()
        """Set when every pipe of the child has closed."""

    async def start(self, extra: Mapping[str, str] | None = None) -> None:
        """Start the interpreter; raises `WorkerError` where it cannot be started."""
        loop = asyncio.get_running_loop()
        requests_read, self._writer = os.pipe()
        events_read, events_write = os.pipe()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self._place = tempfile.mkdtemp(prefix="ckptriage-")
        try:
            self.process = await asyncio.create_subprocess_exec(
                self.python,
                "-I",
                str(_START),
                self.mode,
                str(requests_read),
                str(events_write),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out_write,
                stderr=err_write,
                pass_fds=(requests_read, events_write),
                env=child_environment(self._place, extra),
                cwd=self._place,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            for descriptor in (events_read, out_read, err_read, self._writer):
                os.close(descriptor)
            self._writer = -1
            self._remove()
            raise WorkerError(
                f"{printable(self.python)} cannot be started: {printable(str(error))}",
                "pick another interpreter with --python",
            ) from None
        finally:
            for descriptor in (requests_read, events_write, out_write, err_write):
                os.close(descriptor)
        self._output_open = 3
        await self._connect(loop, events_read, self._event, MAX_LINE)
        await self._connect(loop, out_read, self._said("stdout"), _MAX_TEXT_LINE)
        await self._connect(loop, err_read, self._said("stderr"), _MAX_TEXT_LINE)

    async def _connect(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, receive: Callable[[bytes], None], limit: int
    ) -> None:
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(lambda: Lines(receive, self._one_closed, limit), pipe)
        self._transports.append(transport)

    def _said(self, stream: str) -> Callable[[bytes], None]:
        """Hands lines of one output to the text callback."""
        return lambda line: self._on_text(stream, line.decode("utf-8", "replace"))

    def _event(self, line: bytes) -> None:
        message = _decoded(line)
        if message is None:
            self._on_text("worker", line[:200].decode("utf-8", "replace"))
        else:
            self._on_event(message)

    def _one_closed(self) -> None:
        self._output_open -= 1
        if self._output_open <= 0:
            self.drained.set()
            self._on_closed()

    async def send(self, message: dict[str, Any]) -> None:
        """Write one request without blocking the loop."""
        data = await asyncio.to_thread(_encoded, message) if "tensors" in message else _encoded(message)
        if len(data) <= 1 << 15:
            self._write(data)
        else:
            await asyncio.to_thread(self._write, data)

    def withdraw(self, number: int) -> None:
        """Tell the child that nobody waits for an answer any more; a line this short never blocks a pipe for long."""
        if self._writer >= 0:
            try:
                self._write(encode({"op": "drop", "id": number}))
            except WorkerError:
                return

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._writer, view) :]
        except OSError:
            raise WorkerError("the worker is gone", "it is started again with the next request") from None

    def signal_group(self, number: int = signal.SIGKILL) -> None:
        """End the child and whatever it started."""
        if self.process is None or self.process.returncode is not None:
            return
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    async def close(self) -> None:
        """End the child, wait for it, and remove its directory."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
        self.signal_group()
        if self.process is not None:
            await self.process.wait()
        for transport in self._transports:
            transport.close()
        self._remove()

    def _remove(self) -> None:
        if self._place:
            shutil.rmtree(self._place, ignore_errors=True)
            self._place = ""
