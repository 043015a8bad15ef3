"""Whether a machine has room beyond doubt, told from the size of the files: most checkpoints of a scan are small.

What is loaded of a safetensors file is at most four times its bytes (two bytes cast to eight, or four bits unpacked to
sixteen), and at most five such sizes are held at once: the copies, what weight norm multiplies out, twice the stacks
of experts while they are made, and what the allocator keeps of them (`loading`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.estimate.cache import cache_bytes
from tui.core.estimate.loading import OVERHEAD, positions
from tui.core.estimate.model import Scenario
from tui.core.estimate.running import pass_of
from tui.core.estimate.weights import bits_of, target_dtype

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.estimate.model import Available

_MOST = 4 * 5
"""Bytes held at once of each byte of a file."""


def has_room(checkpoint: Checkpoint, available: Available) -> bool:
    """Whether `estimate` of the usual run, weighed tensor by tensor, cannot say `exceeds` or `refused`."""
    files = checkpoint.weight_files
    if available.ram is None or any(file.format != "safetensors" or file.problems for file in files):
        return False
    sizes = [file.size for file in files]
    if available.mappable is not None and max(sizes, default=0) > available.mappable:
        return False
    run, element = Scenario(), bits_of(target_dtype(checkpoint, "auto")) // 8
    cache = cache_bytes(checkpoint.settings, run.context, run.batch, element)
    once = pass_of(checkpoint.settings, run.context, run.batch, element)
    working = (cache.bytes or 0) + (once.logits or 0) + (once.work or 0) + once.before
    held = _MOST * sum(sizes) + OVERHEAD + positions(checkpoint)
    return available.base.anonymous + held + working <= available.ram
