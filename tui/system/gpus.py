"""GPUs of every maker that can be asked; none, not asked and not answering are told apart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tui.core.record import Record
from tui.system import amd, nvidia

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tui.core.estimate import Device


class Gpus(Record, frozen=True):
    """The devices that a child would see, in its order, or why there are none."""

    devices: tuple[Device, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()


def probe(root: Path = Path("/"), environment: Mapping[str, str] | None = None) -> Gpus:
    """NVIDIA through NVML, AMD through sysfs; never raises."""
    given = os.environ if environment is None else environment
    found = nvidia.probe(given, root)
    others = amd.probe(given, root)
    devices = found.devices + others.devices
    reason = "" if devices else found.reason
    return Gpus(devices, reason, tuple(note for note in (*found.notes, *others.notes) if note))
