"""Many checkpoints judged from their files alone: spread over the processors, and only their summaries kept.

Reading a header waits for the disk or works the processor, and no checkpoint bears on another. The processes are forked
(Linux only, from a process without threads), so that nothing is imported or sent to them; what they find comes back as
MessagePack through a pipe. A process that dies takes nothing with it: what it did not answer is read here.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import msgspec

from tui.core.report.model import triage_of
from tui.core.report.summary import Summary
from tui.triage.environment import available
from tui.triage.from_files import from_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Protocol

    from tui.core.checkpoint import Checkpoint
    from tui.core.estimate import Available
    from tui.triage.options import Options

    class Row(Protocol):
        """Something that a scan found."""

        def read(self) -> Checkpoint:
            """Its headers."""


EACH = 128
"""Checkpoints for which a further process is worth its start."""

MOST = 8
"""Processes; more only wait for the same disk."""

_BATCH = 32

Answer = tuple[int, Summary]
_ANSWERS = msgspec.msgpack.Decoder(list[Answer])


def judge_files(
    rows: Sequence[Row], options: Options, progress: Callable[[int, int], None] | None = None
) -> tuple[Summary, ...]:
    """The summary of each row, in order; no loader is asked."""
    machine = available()
    found: dict[int, Summary] = {}

    def put(*answers: Answer) -> None:
        found.update(answers)
        if progress is not None:
            progress(len(found), len(rows))

    count = min(MOST, _processors(), len(rows) // EACH)
    if count > 1:
        with _Processes(rows, options, machine, count) as processes:
            for batch in processes.answers():
                put(*batch)
    _judge(rows, [index for index in range(len(rows)) if index not in found], options, machine, put)
    return tuple([found[index] for index in range(len(rows))])


def _processors() -> int:
    """How many processes may run at once; 1 where this one must not be forked."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _judge(
    rows: Sequence[Row], indexes: Iterable[int], options: Options, machine: Available, put: Callable[[Answer], None]
) -> None:
    """Those rows, one after the other."""

    for index in indexes:
        put((index, triage_of(from_files(rows[index].read(), options, machine, weighed=False)).summary))


class _Processes:
    """Forked processes that share the rows, each with the pipe that it writes its answers to."""

    def __init__(self, rows: Sequence[Row], options: Options, machine: Available, count: int) -> None:
        self._pipes: dict[int, int] = {}
        """Process by the end of its pipe that is read here."""

        sys.stdout.flush()
        sys.stderr.flush()
        for number in range(count):
            ours, theirs = os.pipe()
            process = os.fork()
            if process == 0:
                os.close(ours)
                _work(rows, range(number, len(rows), count), options, machine, theirs)
            os.close(theirs)
            self._pipes[ours] = process

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs; an interrupted command leaves none behind."""
        for pipe, process in self._pipes.items():
            os.close(pipe)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)

    def answers(self) -> Iterator[list[Answer]]:
        """Batches as they come, until every process has ended."""
        parts = {pipe: bytearray() for pipe in self._pipes}
        with selectors.DefaultSelector() as selector:
            for pipe in parts:
                selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select():
                    data = os.read(key.fd, 1 << 20)
                    if not data:
                        selector.unregister(key.fd)
                    parts[key.fd] += data
                    yield from _frames(parts[key.fd])


def _frames(data: bytearray) -> Iterator[list[Answer]]:
    """Takes the whole batches off the front: a length of four bytes, then MessagePack."""
    while len(data) >= 4 and len(data) >= (end := 4 + int.from_bytes(data[:4], "little")):
        yield _ANSWERS.decode(bytes(data[4:end]))
        del data[:end]


def _work(rows: Sequence[Row], indexes: Iterable[int], options: Options, machine: Available, pipe: int) -> NoReturn:
    """A process's whole life: it never returns, whatever happens."""
    batch: list[Answer] = []

    def put(answer: Answer) -> None:
        batch.append(answer)
        if len(batch) == _BATCH:
            _send(pipe, batch)
            batch.clear()

    try:
        _judge(rows, indexes, options, machine, put)
        _send(pipe, batch)
    except BaseException:  # what is not answered is read by the process that forked this one
        os._exit(1)
    os._exit(0)


def _send(pipe: int, batch: list[Answer]) -> None:
    data = memoryview(msgspec.msgpack.encode(batch))
    _write(pipe, len(data).to_bytes(4, "little"))
    _write(pipe, data)


def _write(pipe: int, data: bytes | memoryview) -> None:
    while data:
        data = data[os.write(pipe, data) :]
