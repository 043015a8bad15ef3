"""Long readings in a thread that ends when the waiting task is cancelled."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from tui.core.difference import Difference, difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.checkpoint import Checkpoint


async def compare_values(first: Checkpoint, second: Checkpoint, progress: Callable[[int], None]) -> Difference:
    """The difference of two checkpoints with their values; `progress` is called from the thread."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(difference, first, second, values=True, progress=progress, stop=stop.is_set)
    except asyncio.CancelledError:
        stop.set()
        raise
