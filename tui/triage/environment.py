"""What this machine has, in the words of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.estimate import Available, Place
from tui.core.record import replace
from tui.system import disk, gpus, memory

if TYPE_CHECKING:
    from pathlib import Path


def available(place: Path | None = None) -> Available:
    """RAM and GPUs right now, and the file system of `place`."""
    ram = memory.probe()
    found = gpus.probe()
    devices = tuple(
        replace(device, free=ram.available, total=ram.total) if device.unified and device.free is None else device
        for device in found.devices
    )
    return Available(
        ram=ram.available,
        ram_total=ram.total,
        ram_source=ram.source,
        swap=ram.swap_free,
        mappable=ram.mappable,
        devices=devices,
        devices_reason=found.reason,
        notes=ram.notes + found.notes,
        place=disk.probe(place) if place is not None else Place(),
    )
