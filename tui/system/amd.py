"""AMD GPUs from sysfs: no library, no process started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.estimate import Device
from tui.core.text import bytes_size, printable
from tui.system.nvidia import Found
from tui.system.proc_files import number, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_VENDOR = "0x1002"
_SMALL = 8 << 30
"""A carve-out below this, with more memory reachable through the GTT, is an APU's."""


def probe(environment: Mapping[str, str], root: Path) -> Found:
    """Cards whose driver tells their memory, in the kernel's order."""
    try:
        entries = [path for path in (root / "sys/class/drm").iterdir() if _is_card(path.name)]
    except OSError:
        return Found()
    entries.sort(key=lambda path: int(path.name[4:]))
    cards = [path / "device" for path in entries if text_of(path / "device/vendor").strip() == _VENDOR]
    devices = tuple(_device(card, index) for index, card in enumerate(cards))
    return _visible(devices, environment)


def _is_card(name: str) -> bool:
    """Whether the entry is a card and not one of its connectors."""
    return name.startswith("card") and name[4:].isascii() and name[4:].isdigit() and len(name) < 9


def _device(card: Path, index: int) -> Device:
    total, used = number(card / "mem_info_vram_total"), number(card / "mem_info_vram_used")
    name = printable(text_of(card / "product_name").strip(), 120) or f"AMD GPU {index}"
    uuid = printable(text_of(card / "unique_id").strip(), 60)
    if total is None or used is None:
        return Device(name, None, None, uuid, index, note="the driver tells no memory figures")
    shared_total, shared_used = number(card / "mem_info_gtt_total"), number(card / "mem_info_gtt_used")
    if total < _SMALL and shared_total is not None and shared_used is not None and shared_total > total:
        free = max(total - used, 0) + max(shared_total - shared_used, 0)
        words = f"shares the system's RAM: {bytes_size(total)} carved out, the rest through the GTT"
        return Device(name, free, total + shared_total, uuid, index, words, unified=True)
    return Device(name, max(total - used, 0), total, uuid, index)


def _visible(devices: tuple[Device, ...], environment: Mapping[str, str]) -> Found:
    """What the ROCm variables leave, by index."""
    for variable in ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        named = environment.get(variable)
        if named is None or not devices:
            continue
        chosen: list[Device] = []
        for entry in named.split(","):
            text = entry.strip()
            index = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else -1
            if not 0 <= index < len(devices) or devices[index] in chosen:
                break
            chosen.append(devices[index])
        if not chosen:
            return Found(notes=(f"{variable}={printable(named, 60)!r} hides every AMD GPU",))
        devices = tuple(chosen)
    return Found(devices)
