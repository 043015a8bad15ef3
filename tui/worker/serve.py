"""The warm worker: answers comparisons, tokenizers and class lists until its pipe closes."""

from __future__ import annotations

import sys
import time
from typing import Any

from ckptriage_worker.channel import Channel
from ckptriage_worker.libraries import error_of, python_version, versions

_MOST_OPEN = 64


class Server:
    """Holds the opened checkpoints; imports the libraries at the first need."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.opened: dict[str, Any] = {}

    def hello(self) -> None:
        """Say who this is, before anything heavy is imported."""
        self.channel.send("hello", python=python_version(), executable=sys.executable, packages=versions())

    def warm(self) -> None:
        """Import the libraries now, so that the first question is answered quickly."""
        started = time.monotonic()
        from ckptriage_worker.libraries import has

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

    def handle(self, message: dict[str, Any]) -> Any:
        """The answer to one request."""
        operation = message.get("op")
        if operation == "open":
            from ckptriage_worker.states import State

            if len(self.opened) >= _MOST_OPEN:
                self.opened.clear()
            self.opened[message["key"]] = State(message["tensors"], message.get("first", 0), message.get("others", []))
            return {"opened": len(message["tensors"])}
        if operation == "compare":
            return self.compare(message)
        if operation == "classes":
            from ckptriage_worker import candidates

            return {"candidates": candidates.rank(message, self.opened.get(message.get("key", "")))}
        if operation == "tokenizer":
            from ckptriage_worker import tokenizer

            return tokenizer.load(message)
        if operation == "importable":
            from ckptriage_worker import imports

            return {"names": imports.look_up(message.get("names") or [])}
        raise ValueError(f"unknown operation {operation!r}")

    def compare(self, message: dict[str, Any]) -> dict[str, Any]:
        """A comparison, with the fields behind it where asked."""
        from ckptriage_worker import answers, candidates, fields

        key = message.get("key", "")
        if key and key not in self.opened:
            return {"unopened": key}
        state = self.opened.get(key)
        started = time.monotonic()
        answer = answers.compare(message, state)
        answer["seconds"] = time.monotonic() - started
        if message.get("fields") and state is not None and answer["stage"] in ("done", "weights"):
            answer["fields"] = fields.explain(message, state, answer)
        if message.get("candidates"):
            answer["candidates"] = candidates.rank(message, state)
        return answer


def run(requests: int, events: int) -> int:
    """Serve until the app goes away."""
    channel = Channel(requests, events)
    server = Server(channel)
    server.hello()
    server.warm()
    for message in channel.requests():
        if message.get("op") == "quit":
            break
        number = message.get("id", 0)
        try:
            channel.send("result", number, answer=server.handle(message))
        except Exception as error:  # the seam of the worker: any failure is an answer
            channel.send("failed", number, error=error_of(error))
    return 0
