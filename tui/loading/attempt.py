"""The parent's side of a load attempt: start, stream, watch memory, cancel, and name how it ended."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from typing import TYPE_CHECKING, Any

from tui.core.record import Record, field, replace
from tui.core.text import bytes_size, printable
from tui.loading.child import Child, default_python
from tui.loading.isolation import isolation_words, protect_own_memory

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE_SECONDS = 0.1


class LogLine(Record, frozen=True):
    """One line for the log pane."""

    seconds: float
    """Since the attempt began."""

    stream: str
    """`stage`, `stdout`, `stderr`, `note`, `memory` or `end`."""

    text: str


class MemorySample(Record, frozen=True):
    """What the child held at one moment, in bytes."""

    seconds: float
    anonymous: int
    file_backed: int


class LoadOutcome(Record, frozen=True):
    """How a load attempt ended."""

    outcome: str
    """`loaded`, `failed`, `killed`, `timeout`, `cancelled` or `refused`."""

    error: dict[str, str] | None = None
    seconds: float = 0.0
    peak_rss: int | None = None
    peak_anonymous: int | None = None
    stage: str = ""
    """The stage in which it ended."""

    answer: dict[str, Any] = field(default_factory=dict)
    words: str = ""
    """How it ended, as a sentence."""

    isolation: str = "not isolated"


class LoadAttempt:
    """One attempt in a process of its own; `run` returns its outcome, `cancel` ends it."""

    def __init__(
        self,
        request: dict[str, Any],
        python: str | None = None,
        on_line: Callable[[LogLine], None] | None = None,
        on_memory: Callable[[MemorySample], None] | None = None,
        timeout: float | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.request = request
        self.python = python or default_python()
        self._on_line = on_line
        self._on_memory = on_memory
        self._timeout = timeout
        self._memory_limit = memory_limit
        self._started = 0.0
        self._stage = ""
        self.isolation = "not isolated"
        """How far the child was shut in: `isolated`, `partly isolated`, `not isolated`."""

        self._end: dict[str, Any] | None = None
        self._reason = ""
        self._child: Child | None = None
        self._peak_rss = 0
        self._peak_anonymous = 0
        self._held: tuple[int, int] | None = None

    def cancel(self) -> None:
        """End the attempt; `run` then returns `cancelled`."""
        self._stop("cancelled")

    def _stop(self, reason: str) -> None:
        if self._end is None and not self._reason:
            self._reason = reason
        if self._child is not None:
            self._child.signal_group()

    async def run(self) -> LoadOutcome:
        """Start the child and follow it to its end; raises `WorkerError` where it cannot be started."""
        self._started = time.monotonic()
        child = Child(self.python, "load", self._event, self._text, lambda: None)
        self._child = child
        protect_own_memory()
        await child.start(_devices(self.request))
        try:
            await child.send(self.request)
            await self._follow(child)
        finally:
            await child.close()
        ended = self._outcome(child.process.returncode if child.process is not None else None)
        outcome = replace(ended, isolation=self.isolation)
        self._note("end", outcome.words)
        return outcome

    async def _follow(self, child: Child) -> None:
        """Sample memory until the child's pipes close or a limit is reached."""
        while not child.drained.is_set():
            try:
                async with asyncio.timeout(SAMPLE_SECONDS):
                    await child.drained.wait()
            except TimeoutError:
                self._sample(child)
            if self._timeout is not None and time.monotonic() - self._started > self._timeout:
                self._stop("timeout")

    def _sample(self, child: Child) -> None:
        """Read the child's memory; over the limit it is ended."""
        if child.process is None:
            return
        values = read_status(child.process.pid)
        if values is None:
            return
        anonymous, file_backed, peak = values
        self._peak_rss = max(self._peak_rss, peak)
        self._peak_anonymous = max(self._peak_anonymous, anonymous)
        self._held = (anonymous, file_backed)
        if self._on_memory is not None:
            self._on_memory(MemorySample(time.monotonic() - self._started, anonymous, file_backed))
        if self._memory_limit is not None and anonymous > self._memory_limit:
            self._stop("memory")

    def _event(self, message: dict[str, Any]) -> None:
        match message.get("event"):
            case "stage":
                self._stage = str(message.get("stage", ""))
                self._note("stage", self._stage_words(message))
            case "class":
                self._note("note", f"class {printable(str(message.get('model_class')))}")
            case "confined":
                self.isolation = str(message.get("level", "not isolated"))
                self._note("note", isolation_words(self.isolation, message))
            case "tried":
                self._note("note", str(message.get("words", "")))
            case "end":
                self._end = message
            case _:
                return

    def _stage_words(self, message: dict[str, Any]) -> str:
        """A stage as it begins, or how long it took and what the child holds after it."""
        if not message.get("done"):
            return f"{self._stage} …"
        if self._child is not None:
            self._sample(self._child)
        held = f", holds {bytes_size(self._held[0])} and {bytes_size(self._held[1])} mapped" if self._held else ""
        return f"{self._stage} {float(message.get('seconds') or 0):.1f} s{held}"

    def _text(self, stream: str, line: str) -> None:
        self._note(stream, line)

    def _note(self, stream: str, text: str) -> None:
        if self._on_line is not None:
            self._on_line(LogLine(time.monotonic() - self._started, stream, printable(strip_ansi(text), 4000)))

    def _outcome(self, code: int | None) -> LoadOutcome:
        seconds = time.monotonic() - self._started
        peaks: dict[str, Any] = {"peak_rss": self._peak_rss or None, "peak_anonymous": self._peak_anonymous or None}
        if self._end is not None:
            error = self._end.get("error")
            if isinstance(error, dict):
                error = {key: strip_ansi(str(value)) for key, value in error.items()}
            stage = str(self._end.get("stage", self._stage))
            kind = str(self._end.get("outcome", "failed"))
            peak = f", at most {bytes_size(self._peak_anonymous)} anonymous" if self._peak_anonymous else ""
            words = f"loaded in {seconds:.1f} s{peak}" if kind == "loaded" else _error_words(error, stage)
            return LoadOutcome(
                kind, error, seconds, **peaks, stage=stage, answer=self._end.get("answer") or {}, words=words
            )
        kind, words = self._ended(code)
        return LoadOutcome(
            kind, {"type": kind, "message": words, "traceback": ""}, seconds, **peaks, stage=self._stage, words=words
        )

    def _ended(self, code: int | None) -> tuple[str, str]:
        """How a child ended that did not say so itself."""
        if self._reason == "cancelled":
            return "cancelled", f"cancelled during {self._stage or 'start'}"
        if self._reason == "timeout":
            return "timeout", f"ended after {self._timeout:.0f} s, during {self._stage or 'start'}"
        if self._reason == "memory":
            return "killed", f"ended at the limit of {bytes_size(self._memory_limit)}, during {self._stage or 'start'}"
        if code is not None and code < 0:
            return "killed", f"{signal_words(-code)}, during {self._stage or 'start'}"
        return "failed", f"the process ended with code {code} and said nothing"


def _devices(request: dict[str, Any]) -> dict[str, str]:
    """GPUs are hidden unless the request asks for one."""
    device = str(request.get("device") or "cpu")
    if device == "cpu":
        return {}
    return {"CUDA_VISIBLE_DEVICES": device.partition(":")[2] or "0"}


def _error_words(error: dict[str, str] | None, stage: str) -> str:
    if not error:
        return f"failed during {stage}"
    first = error.get("message", "").strip().splitlines()
    return f"{error.get('type', 'Error')}: {first[0] if first else '(no message)'}"


def signal_words(number: int) -> str:
    """A signal in words; SIGKILL and SIGBUS are the two that loads die of without a line of text."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    more = {
        signal.SIGKILL: "killed by the system, as it does when memory runs out",
        signal.SIGBUS: "a mapped file ended before its bytes were read",
        signal.SIGSEGV: "native code crashed",
        signal.SIGABRT: "native code gave up",
    }
    words = next((text for known, text in more.items() if known == number), "")
    return f"{name} ({words})" if words else name


def strip_ansi(text: str) -> str:
    """`text` without colour sequences; what is left of other escapes is made visible later."""
    if "\x1b" not in text:
        return text
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def read_status(pid: int) -> tuple[int, int, int] | None:
    """(anonymous, file-backed, peak resident) bytes of a process from /proc; `None` where it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return None

    def size(name: str) -> int:
        words = fields.get(name, "0").split()
        return int(words[0]) * 1024 if words and words[0].isdigit() else 0

    return size("RssAnon"), size("RssFile") + size("RssShmem"), size("VmHWM")
