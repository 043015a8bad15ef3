"""The estimate of one checkpoint for one environment: the machine, its base, and what a limit means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.estimate import Available, Base, Estimate, estimate
from tui.core.record import replace
from tui.core.text import bytes_size
from tui.errors import WorkerError
from tui.loading import base as bases
from tui.triage.environment import available

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.triage.load import LoadOptions


async def machine_for(
    checkpoint: Checkpoint, python: str | None = None, model_class: str | None = None, measure: bool = True
) -> Available:
    """The machine with the base of this environment: measured where `measure`, else what was measured earlier.

    An environment that cannot import its libraries keeps the assumed base, and a note says why.
    """
    machine = available(checkpoint.root)
    asked = bases.question(checkpoint, model_class)
    if not measure:
        return replace(machine, base=bases.known(python, asked) or Base())
    try:
        return replace(machine, base=await bases.probe(python, asked))
    except WorkerError as error:
        return replace(machine, notes=(*machine.notes, f"the base is assumed: {error.message}"))


async def over_limit(checkpoint: Checkpoint, options: LoadOptions) -> str:
    """Why a load under `options.memory_limit` cannot succeed, empty where it can or where that is not known.

    The limit is on anonymous memory: pages of a mapped file do not count, whatever its size.
    """
    limit = options.memory_limit
    if limit is None:
        return ""
    made = await _predicted(checkpoint, options)
    if made.load_peak is None:
        return ""
    need = made.load_peak
    if limit >= need:
        return ""
    return (
        f"loading needs {bytes_size(need)} ({need:,} bytes) of anonymous memory as {made.dtype}, "
        f"{bytes_size(made.base)} of it for the interpreter and its libraries ({made.base_source}); "
        f"the limit is {bytes_size(limit)}, {bytes_size(need - limit)} too little"
    )


async def _predicted(checkpoint: Checkpoint, options: LoadOptions) -> Estimate:
    machine = await machine_for(checkpoint, options.python, options.model_class)
    return estimate(checkpoint, machine, options.dtype or "auto")
