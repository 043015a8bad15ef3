"""Long readings in a thread that ends when the waiting task is cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from tui.core.difference import Difference, difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.checkpoint import Checkpoint
    from tui.core.deep.progress import Memory
    from tui.core.deep.report import DeepReport
    from tui.core.pace import Pace


async def read_deep(checkpoint: Checkpoint, pace: Pace | None, memory: Memory | None) -> DeepReport:
    """Read every byte of the weights; `memory` keeps how far it came when it is cancelled."""
    from tui.core.deep.verify import verify

    stop = threading.Event()
    progress, skipped = (pace.add, pace.skip) if pace is not None else (None, None)
    try:
        return await asyncio.to_thread(verify, checkpoint, progress, stop.is_set, memory, skipped)
    except asyncio.CancelledError:
        stop.set()
        raise


async def compare_values(first: Checkpoint, second: Checkpoint, progress: Callable[[int], None]) -> Difference:
    """The difference of two checkpoints with their values; `progress` is called from the thread."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(difference, first, second, values=True, progress=progress, stop=stop.is_set)
    except asyncio.CancelledError:
        stop.set()
        raise
