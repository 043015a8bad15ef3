"""What this machine has, in the words of the core."""

from __future__ import annotations

from tui.core.estimate import Available, Device
from tui.system import gpus, memory


def available() -> Available:
    """RAM and GPUs right now."""
    ram = memory.probe()
    found = gpus.probe()
    return Available(
        ram=ram.available,
        ram_total=ram.total,
        ram_source=ram.source,
        swap=ram.swap_free,
        mappable=ram.mappable,
        devices=tuple(Device(device.name, device.free, device.total) for device in found.devices),
        devices_reason=found.reason,
    )
