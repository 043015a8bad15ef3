"""NVIDIA GPUs through NVML; no library, no driver and no GPU are each told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """One device and its memory in bytes; `None` where the driver does not tell."""

    name: str
    free: int | None
    total: int | None


@dataclass(frozen=True)
class Gpus:
    """The devices, or why there are none."""

    devices: tuple[Gpu, ...] = ()
    reason: str = ""


def probe() -> Gpus:
    """Ask NVML; never raises."""
    try:
        import pynvml
    except ImportError:
        return Gpus(reason="nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Gpus(reason=f"no NVIDIA GPU found: {error}")
    try:
        count = pynvml.nvmlDeviceGetCount()
        devices = tuple(_device(pynvml, index) for index in range(count))
        return Gpus(devices, "" if devices else "the NVIDIA driver lists no GPU")
    except pynvml.NVMLError as error:
        return Gpus(reason=f"the NVIDIA driver does not answer: {error}")
    finally:
        _shutdown(pynvml)


def _shutdown(library: Any) -> None:
    try:
        library.nvmlShutdown()
    except library.NVMLError:
        return


def _device(library: Any, index: int) -> Gpu:
    try:
        handle = library.nvmlDeviceGetHandleByIndex(index)
        name = library.nvmlDeviceGetName(handle)
        shown = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    except library.NVMLError as error:
        return Gpu(f"GPU {index} ({error})", None, None)
    try:
        memory = library.nvmlDeviceGetMemoryInfo(handle)
    except library.NVMLError:
        return Gpu(shown, None, None)
    return Gpu(shown, int(memory.free), int(memory.total))
