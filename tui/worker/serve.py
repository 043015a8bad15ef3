"""The warm worker: answers comparisons, tokenizers and class lists until its pipe closes.

A comparison that is audited goes on in a copy of this process (`forked`), so that the next question need not wait and
what the public loader builds is not kept. A request whose answer nobody wants any more is dropped.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ckptriage_worker.channel import Channel
from ckptriage_worker.libraries import error_of, has, python_version, versions

if TYPE_CHECKING:
    from ckptriage_worker.answers import Comparing
    from ckptriage_worker.forked import Forked

_MOST_OPEN = 64
_AUDIT_SECONDS = 45.0
_MANY = 600
"""Rows of a model that is large enough for freed memory to matter."""


class Server:
    """Holds the opened checkpoints; imports the libraries at the first need."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.opened: dict[str, Any] = {}
        self.queue: deque[dict[str, Any]] = deque()
        self.audit: Audited | None = None

    def hello(self) -> None:
        """Say who this is, before anything heavy is imported."""
        self.channel.send("hello", python=python_version(), executable=sys.executable, packages=versions())

    def confine(self) -> None:
        """Shut this process in before anything is imported; the first message says what else may be read."""
        from ckptriage_worker import confine

        messages: list[dict[str, Any]] = []
        while not messages and not self.channel.closed:
            messages, _ = self.channel.arrived((), None)
        self.queue.extend(messages)
        if not self.queue or self.queue[0].get("op") != "confine":
            return
        readable = self.queue.popleft().get("readable") or []
        own = os.path.dirname(os.path.abspath(__file__))
        held = confine.apply([own, *readable], [os.environ.get("HOME", "")], copies=True)
        layers = {key: held[key] for key in ("landlock", "seccomp", "limits")}
        self.channel.send("confined", level=confine.level(held), layers=layers, notes=held["notes"])

    def warm(self) -> None:
        """Import the libraries now, so that the first question is answered quickly."""
        started = time.monotonic()
        if not (has("torch") and has("transformers")):
            self.channel.send("ready", available=False, reason="torch or transformers is not installed", seconds=0.0)
            return
        try:
            import torch  # noqa: F401
            from ckptriage_worker import answers, candidates, fields  # noqa: F401
            from transformers import modeling_utils  # noqa: F401
        except Exception as error:  # a broken environment is an answer
            self.channel.send("ready", available=False, reason=f"{type(error).__name__}: {error}", seconds=0.0)
            return
        self.channel.send("ready", available=True, reason="", seconds=time.monotonic() - started)

    def serve(self) -> None:
        """Answer until the app closes its end or says quit."""
        while not self.channel.closed:
            self._wait()
            message = self._next()
            if message is None:
                continue
            if message.get("op") == "quit":
                return
            self._answer(message)

    def _wait(self) -> None:
        """Take what has arrived: requests, withdrawals, and the answer of an audit."""
        descriptors = [self.audit.copy.descriptor] if self.audit is not None else []
        timeout: float | None = None
        if self._next(peek=True) is not None:
            timeout = 0.0
        elif self.audit is not None:
            timeout = max(self.audit.copy.deadline - time.monotonic(), 0.0)
        messages, ready = self.channel.arrived(descriptors, timeout)
        for message in messages:
            if message.get("op") == "drop":
                self._drop(message.get("id", -1))
            else:
                self.queue.append(message)
        audit = self.audit
        if audit is None:
            return
        if (ready and audit.copy.read()) or time.monotonic() > audit.copy.deadline:
            self.audit = None
            self._settled(audit)

    def _settled(self, audit: Audited) -> None:
        """Send what the copy answered; a copy that gave no answer leaves the live one, which says so."""
        answer = audit.copy.answer()
        if answer is None:
            audit.comparing.settle(None, f"it gave no answer within {_AUDIT_SECONDS:.0f} s or ended")
            answer = audit.comparing.finished()
        self.channel.send("result", audit.number, answer=answer)
        if len(answer.get("rows") or ()) > _MANY:
            give_back()

    def _next(self, peek: bool = False) -> dict[str, Any] | None:
        """The first request that can be answered now: while an audit runs, another audit waits."""
        for place, message in enumerate(self.queue):
            if self.audit is not None and message.get("op") == "compare" and message.get("mode") == "audit":
                continue
            if not peek:
                del self.queue[place]
            return message
        return None

    def _drop(self, number: int) -> None:
        """Forget a request; an audit that runs for it is ended."""
        self.queue = deque(message for message in self.queue if message.get("id") != number)
        if self.audit is not None and self.audit.number == number:
            self.audit.copy.end()
            self.audit = None

    def _answer(self, message: dict[str, Any]) -> None:
        number = message.get("id", 0)
        try:
            if message.get("op") == "compare":
                self._compare(number, message)
            else:
                self.channel.send("result", number, answer=self.handle(message))
        except Exception as error:  # the seam of the worker: any failure is an answer
            self.channel.send("failed", number, error=error_of(error))

    def handle(self, message: dict[str, Any]) -> Any:
        """The answer to one request other than a comparison."""
        operation = message.get("op")
        if operation == "open":
            from ckptriage_worker.states import State

            if len(self.opened) >= _MOST_OPEN:
                self.opened.clear()
            self.opened[message["key"]] = State(message["tensors"], message.get("first", 0), message.get("others", []))
            return {"opened": len(message["tensors"])}
        if operation == "classes":
            from ckptriage_worker import candidates

            return {"candidates": candidates.rank(message, self.opened.get(message.get("key", "")))}
        if operation == "draft":
            from ckptriage_worker import draft

            state = self.opened.get(message["key"])
            return draft.recover(message, state) if state is not None else {"unopened": message["key"]}
        if operation == "tokenizer":
            from ckptriage_worker import tokenizer

            return tokenizer.load(message)
        if operation == "importable":
            from ckptriage_worker import imports

            return {"names": imports.look_up(message.get("names") or [])}
        raise ValueError(f"unknown operation {operation!r}")

    def _compare(self, number: int, message: dict[str, Any]) -> None:
        """The live answer; where the public loader is to be asked too, the answer waits for it."""
        from ckptriage_worker import forked
        from ckptriage_worker.answers import Comparing

        key = message.get("key", "")
        if key and key not in self.opened:
            self.channel.send("result", number, answer={"unopened": key})
            return
        started = time.monotonic()
        comparing = Comparing(message, self.opened.get(key))
        comparing.answer["seconds"] = time.monotonic() - started
        if comparing.official is None:
            self.channel.send("result", number, answer=completed(message, comparing))
            if len(comparing.answer.get("rows") or ()) > _MANY:
                give_back()
        elif forked.possible():
            copy = forked.Forked(lambda: completed(message, comparing), _AUDIT_SECONDS)
            self.audit = Audited(number, message, comparing, copy)
        else:
            self.channel.send("result", number, answer=completed(message, comparing))


def completed(message: dict[str, Any], comparing: Comparing) -> dict[str, Any]:
    """The answer with what the public loader says of it, and the fields and classes behind it."""
    from ckptriage_worker import candidates, fields

    if comparing.official is not None:
        comparing.settle(comparing.ask_officially())
    answer = comparing.finished()
    if message.get("fields"):
        answer.update(fields.behind(message, comparing.state, answer))
    if message.get("candidates"):
        answer["candidates"] = candidates.rank(message, comparing.state)
    return answer


def give_back() -> None:
    """Return freed memory to the system: the C library keeps it after a large model has been built."""
    gc.collect()
    try:
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
    except (ImportError, OSError, AttributeError):  # another C library
        return


class Audited:
    """A comparison whose audit runs in a copy of this process."""

    def __init__(self, number: int, message: dict[str, Any], comparing: Comparing, copy: Forked) -> None:
        self.number = number
        self.message = message
        self.comparing = comparing
        self.copy = copy


def run(requests: int, events: int) -> int:
    """Serve until the app goes away."""
    server = Server(Channel(requests, events))
    server.hello()
    server.confine()
    server.warm()
    server.serve()
    return 0
