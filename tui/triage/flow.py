"""From a path to a report: scan, headers, the worker's answers, diagnosis. Shared by command line and explorer."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from tui.core.record import Record, replace
from tui.core.report.model import Report, Triage, triage_of
from tui.errors import WorkerError
from tui.loading.worker import Worker
from tui.system.verified import Verified
from tui.triage.ask import ASKED_KINDS, PACKAGED_KINDS, TOKENIZED_KINDS, Asker
from tui.triage.environment import available
from tui.triage.from_files import from_files, takes_long
from tui.triage.reading import read_deep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tui.core.checkpoint import Checkpoint
    from tui.core.compare import Comparison
    from tui.core.diagnosis.evidence import Evidence, Outcome
    from tui.core.estimate import Available
    from tui.core.pace import Pace
    from tui.loading.worker import EnvironmentInfo
    from tui.triage.options import Options


async def gather(
    checkpoint: Checkpoint,
    asker: Asker | None,
    options: Options,
    machine: Available,
    comparison: Comparison | None = None,
    outcome: Outcome | None = None,
) -> Evidence:
    """Everything that bears on one checkpoint; the worker is asked only where it can say more."""
    if takes_long(checkpoint, options):
        found = await asyncio.to_thread(from_files, checkpoint, options, machine)
    else:
        found = from_files(checkpoint, options, machine)
    found = replace(found, comparison=comparison, outcome=outcome)
    return found if asker is None else await _asked(found, asker, options)


async def _asked(found: Evidence, asker: Asker, options: Options) -> Evidence:
    """With what the worker answers; where it cannot be asked, with the reason."""
    checkpoint, comparison = found.checkpoint, found.comparison
    packages, python, importable, not_asked = None, "", None, ""
    answer: dict[str, Any] | None = None
    try:
        info = await asker.worker.hello()
        packages, python = info.packages, info.python
        importable = await asker.importable(checkpoint)
        if comparison is None and checkpoint.kind in ASKED_KINDS:
            comparison = await asker.compare(checkpoint, options.model_class)
        if checkpoint.kind in TOKENIZED_KINDS:
            answer = await asker.tokenizer(found.tokenizer or checkpoint)
    except WorkerError as error:
        not_asked = error.message
    if comparison is not None and comparison.source == "files" and comparison.error is not None:
        not_asked = comparison.error[1]
    return replace(
        found,
        comparison=comparison,
        packages=packages,
        python=python,
        importable=importable,
        tokenizer_answer=answer,
        not_asked=not_asked,
    )


def needs_worker(found: list[Checkpoint]) -> bool:
    """Whether any checkpoint has a question for the worker."""
    return any(item.kind in ASKED_KINDS or item.kind in PACKAGED_KINDS or item.pickles for item in found)


class Triaged(Record, frozen=True):
    """Every checkpoint's triage, and the environment that was asked."""

    triages: tuple[Triage, ...]
    environment: EnvironmentInfo | None = None

    @property
    def report(self) -> Report:
        """What the outputs are made of."""
        told, info = tuple([triage.summary for triage in self.triages]), self.environment
        return Report(told) if info is None else Report(told, info.python, info.packages, info.isolation)


async def triage_all(
    found: list[Checkpoint],
    options: Options,
    progress: Callable[[int, int], None] | None = None,
    reading: Pace | None = None,
) -> Triaged:
    """Triage each checkpoint in turn; one worker serves them all. `reading` is told of bytes read by `options.deep`.

    What an interrupted run has read is not read again; a run that comes to its end leaves nothing behind.
    """
    readable = [str(item.root.absolute()) for item in found if item.tokenizer is not None]
    worker = None if options.files_only or not needs_worker(found) else Worker(options.python, readable=readable)
    asker = Asker(worker) if worker is not None else None
    machine = available()
    verified = Verified()
    triages: list[Triage] = []
    try:
        async for triage in _each(found, asker, options, machine, reading, verified):
            triages.append(triage)
            if progress is not None:
                progress(len(triages), len(found))
        info = worker.environment if worker is not None else None
        if options.deep:
            verified.finish()
    finally:
        if worker is not None:
            await worker.close()
    return Triaged(tuple(triages), info)


async def _each(
    found: list[Checkpoint],
    asker: Asker | None,
    options: Options,
    machine: Available,
    reading: Pace | None,
    verified: Verified,
) -> AsyncIterator[Triage]:
    paused = time.monotonic()
    for checkpoint in found:
        evidence = await gather(checkpoint, asker, options, machine)
        if options.deep:
            evidence = replace(evidence, deep=await read_deep(checkpoint, reading, verified))
        yield triage_of(evidence)
        if time.monotonic() - paused > 0.05:
            await asyncio.sleep(0)
            paused = time.monotonic()
