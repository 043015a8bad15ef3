"""NVIDIA GPUs through NVML (`nvidia-ml-py`): memory, instances, processes, and which of them CUDA would show.

CUDA's own calls would create a context of half a gigabyte; NVML's do not.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tui.core.estimate import Device, Holder
from tui.core.record import Record, replace
from tui.core.text import printable
from tui.system.proc_files import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LIBRARY = "libnvidia-ml.so.1"
"""By the name that nvidia-ml-py 13 opens."""

_MOST_DEVICES = 256
_MOST_HOLDERS = 64
_UNKNOWN_BYTES = (1 << 64) - 1
_ADVICE = {
    "NVMLError_LibRmVersionMismatch": "the driver was updated: reboot",
    "NVMLError_DriverNotLoaded": "the driver is not loaded",
    "NVMLError_LibraryNotFound": "there is no NVIDIA driver",
    "NVMLError_NoPermission": "no permission to ask the driver",
    "NVMLError_GpuIsLost": "the GPU is lost: it has fallen off the bus",
}


class Found(Record, frozen=True):
    """Devices in CUDA's order, or why there are none."""

    devices: tuple[Device, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()


def probe(environment: Mapping[str, str], root: Path) -> Found:
    """Ask NVML; never raises."""
    if not _driver_is_here():
        return Found(reason="no NVIDIA GPU found: there is no NVIDIA driver")
    try:
        import pynvml
    except ImportError:
        return Found(reason="nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Found(reason=f"no NVIDIA GPU found: {_words(error)}")
    try:
        count = min(int(pynvml.nvmlDeviceGetCount()), _MOST_DEVICES)
        devices = [device for index in range(count) for device in _devices(pynvml, index, root)]
    except pynvml.NVMLError as error:
        return Found(reason=f"the NVIDIA driver does not answer: {_words(error)}")
    finally:
        _shutdown(pynvml)
    if not devices:
        return Found(reason="the NVIDIA driver lists no GPU")
    return visible(tuple(devices), environment)


def _driver_is_here() -> bool:
    """Whether the driver's library can be opened, asked before the large module of its bindings is imported."""
    if sys.platform != "linux":
        return True
    import ctypes

    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


def _shutdown(library: Any) -> None:
    try:
        library.nvmlShutdown()
    except library.NVMLError:
        return


def _words(error: Exception) -> str:
    """The driver's words, and what to do where that is known."""
    more = _ADVICE.get(type(error).__name__)
    return f"{error} ({more})" if more else str(error)


def _devices(library: Any, index: int, root: Path) -> list[Device]:
    """A GPU, or the instances that it is partitioned into."""
    try:
        handle = library.nvmlDeviceGetHandleByIndex(index)
        name = _text(library.nvmlDeviceGetName(handle))
    except library.NVMLError as error:
        return [Device(f"GPU {index}", None, None, index=index, note=_words(error))]
    instances = _instances(library, handle, index, name, root)
    if instances is not None:
        return instances
    return [_device(library, handle, index, name, root)]


def _device(library: Any, handle: Any, index: int, name: str, root: Path) -> Device:
    """One device with its memory and whoever holds it."""
    bare = Device(name, None, None, _uuid(library, handle), index)
    try:
        memory = _memory(library, handle)
    except library.NVMLError_NotSupported:
        return replace(bare, unified=True, note="shares the system's RAM")
    except library.NVMLError as error:
        return replace(bare, note=_words(error))
    holders = _holders(library, handle, root)
    return replace(bare, free=int(memory.free), total=int(memory.total), holders=holders)


def _memory(library: Any, handle: Any) -> Any:
    """Version 2 does not count what the driver reserves as used; old drivers know only version 1."""
    version = getattr(library, "nvmlMemory_v2", None)
    if version is not None:
        try:
            return library.nvmlDeviceGetMemoryInfo(handle, version=version)
        except (library.NVMLError_FunctionNotFound, library.NVMLError_ArgumentVersionMismatch):
            return library.nvmlDeviceGetMemoryInfo(handle)
    return library.nvmlDeviceGetMemoryInfo(handle)


def _instances(library: Any, handle: Any, index: int, name: str, root: Path) -> list[Device] | None:
    """The instances of a partitioned GPU, whose own free memory cannot be used; `None` where it is whole."""
    try:
        if library.nvmlDeviceGetMigMode(handle)[0] != 1:
            return None
        count = min(int(library.nvmlDeviceGetMaxMigDeviceCount(handle)), _MOST_DEVICES)
    except library.NVMLError:
        return None
    found: list[Device] = []
    for number in range(count):
        try:
            instance = library.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
            shown = _text(library.nvmlDeviceGetName(instance))
        except library.NVMLError:
            continue
        device = _device(library, instance, index, shown or name, root)
        found.append(replace(device, note=device.note or f"instance {number} of GPU {index}: a process sees one"))
    if not found:
        found = [Device(name, None, None, index=index, note="is partitioned and has no instance")]
    return found


def _uuid(library: Any, handle: Any) -> str:
    try:
        return _text(library.nvmlDeviceGetUUID(handle))
    except library.NVMLError:
        return ""


def _holders(library: Any, handle: Any, root: Path) -> tuple[Holder, ...]:
    """Processes that hold memory there, as far as the driver tells; largest first."""
    found: dict[int, Holder] = {}
    for ask in (library.nvmlDeviceGetComputeRunningProcesses, library.nvmlDeviceGetGraphicsRunningProcesses):
        try:
            processes = ask(handle)
        except library.NVMLError:
            continue
        for process in processes[:_MOST_HOLDERS]:
            held = process.usedGpuMemory
            size = None if held is None or held == _UNKNOWN_BYTES else int(held)
            name = printable(text_of(root / f"proc/{process.pid}/comm").strip(), 60)
            found[process.pid] = Holder(int(process.pid), size, name)
    return tuple(sorted(found.values(), key=lambda holder: (-(holder.bytes or 0), holder.pid)))


def _text(value: Any) -> str:
    return printable(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value), 120)


def visible(devices: tuple[Device, ...], environment: Mapping[str, str]) -> Found:
    """What `CUDA_VISIBLE_DEVICES` leaves, in its order: indices, or beginnings of UUIDs.

    An entry that names nothing hides itself and all after it, as CUDA does.
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return Found(devices)
    chosen: list[Device] = []
    for entry in named.split(","):
        device = _named(entry.strip(), devices)
        if device is None or device in chosen:
            break
        chosen.append(device)
    if not chosen:
        return Found(reason=f"CUDA_VISIBLE_DEVICES={printable(named, 60)!r} hides every GPU")
    by_number = any(entry.strip().isdecimal() for entry in named.split(","))
    sorted_by_speed = environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
    unsure = by_number and sorted_by_speed and len({device.name for device in devices}) > 1
    words = "CUDA_VISIBLE_DEVICES counts by speed and the driver by bus: which GPU is meant is not certain"
    return Found(tuple(chosen), notes=(words,) if unsure else ())


def _named(entry: str, devices: tuple[Device, ...]) -> Device | None:
    """The device that one entry means; an ambiguous beginning means none."""
    if entry.isascii() and entry.isdecimal() and len(entry) < 5:
        number = int(entry)
        return next((device for device in devices if device.index == number), None)
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    found = [device for device in devices if device.uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None
