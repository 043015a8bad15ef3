"""A scenario's figures against what the machine has: the verdict, and by how much it is missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.estimate.weights import bits_of
from tui.core.record import Record
from tui.core.tensors import FLOATING
from tui.core.text import bytes_size

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.estimate.figures import Figures
    from tui.core.estimate.model import Available, Device, Part, Scenario

_SPARE = 0.92
"""Above this share of what is free a process fights for its own code pages."""

_DEVICE_SPARE = 300_000_000


class Verdict(Record, frozen=True):
    """One of `fits, fits_slowly, tight, exceeds, refused, unknown`, and why."""

    name: str
    shortfall: int = 0
    reason: str = ""
    placement: tuple[Part, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it runs without doubt."""
        return self.name in ("fits", "fits_slowly")


def judge(checkpoint: Checkpoint, made: Figures, scenario: Scenario, available: Available) -> Verdict:
    """The verdict on the scenario's device."""
    if scenario.device == "cpu" or (scenario.device == "auto" and not available.devices):
        return on_cpu(made, available, largest_mapping(checkpoint))
    if scenario.device == "auto":
        return _on_all(checkpoint, made, available)
    return _on_one(made, scenario.device, available)


def largest_mapping(checkpoint: Checkpoint) -> int:
    """Bytes of the largest file that the loader maps whole."""
    if checkpoint.kind not in ("transformers", "sentence_transformers", "safetensors"):
        return 0
    return max(
        (file.size for file in checkpoint.weight_files if file.format in ("safetensors", "torch_zip")), default=0
    )


def on_cpu(made: Figures, available: Available, mapping: int) -> Verdict:
    """RAM: what it must have decides whether it lives, what it wants decides how fast."""
    must = made.must
    if must is None or made.wants is None or made.low is None or made.high is None:
        return Verdict("unknown", reason=made.missing[0] if made.missing else "nothing is known about this kind")
    if available.mappable is not None and mapping > available.mappable:
        words = f"the system will not map a file of {bytes_size(mapping)}: it grants {bytes_size(available.mappable)}"
        return Verdict("refused", mapping - available.mappable, words)
    if available.ram is None:
        return Verdict("unknown", reason="how much RAM is free is not known on this system")
    if made.low > available.ram:
        return Verdict("exceeds", max(must - available.ram, 1))
    if made.high > available.ram or must > available.ram * _SPARE:
        return Verdict("tight", reason=_unsure(made))
    if made.wants > available.ram:
        return Verdict("fits_slowly", reason="parts of the file are read again from disk while the model runs")
    return Verdict("fits")


def _unsure(made: Figures) -> str:
    """Which term makes it a close call."""
    if made.load.high > made.load.low and made.weights.fused:
        return "how much the allocator keeps while experts are stacked varies by run"
    return "it could go either way: working memory and the interpreter's base are known within a band"


def _on_one(made: Figures, device: str, available: Available) -> Verdict:
    number = device.partition(":")[2]
    index = int(number) if number.isdecimal() and len(number) < 4 else 0
    if index >= len(available.devices):
        reason = available.devices_reason if not available.devices else ""
        return Verdict("unknown", reason=reason or f"there is no device {device}")
    return on_device(made, available.devices[index], available)


def on_device(made: Figures, device: Device, available: Available) -> Verdict:
    """One device that holds everything."""
    if device.free is None:
        return Verdict("unknown", reason=device.note or "the driver does not tell how much memory is free")
    if made.device_low > device.free:
        return Verdict("exceeds", max(made.device_total - device.free, 1))
    if made.device_high > device.free - _DEVICE_SPARE:
        return Verdict("tight", reason="the CUDA context is assumed: 0.6 GB, give or take 0.3")
    if device.unified and available.ram is not None and made.device_total + made.weights.stored > available.ram:
        return Verdict("fits_slowly", reason="the mapped file and its copy share one memory while it loads")
    return Verdict("fits")


def _on_all(checkpoint: Checkpoint, made: Figures, available: Available) -> Verdict:
    """Every device, filled as accelerate's balanced map does."""
    known = [(device.name, device.free) for device in available.devices if device.free is not None]
    if len(known) < len(available.devices):
        return Verdict("unknown", reason="the driver does not tell how much memory every device has free")
    if len(known) == 1:
        return on_device(made, available.devices[0], available)
    beside = made.device_total - made.weights.loaded
    names = [f"cuda:{index}" for index in range(len(known))]
    free = [(name, max(size, 0)) for name, (_, size) in zip(names, known, strict=True)]
    from tui.core.estimate.placement import automatic

    config = checkpoint.settings
    parts = automatic(sizes(checkpoint, made), free, available.ram, str(config.get("model_type") or ""))
    outside = sum(part.bytes for part in parts if part.device in ("cpu", "disk"))
    if outside:
        return Verdict("exceeds", outside, "does not fit the devices together", parts)
    room = dict(free)
    fullest = max((part.bytes + beside - room.get(part.device, 0) for part in parts), default=0)
    if fullest > 0:
        return Verdict(
            "tight", reason="cache and context do not fit beside the weights on every device", placement=parts
        )
    return Verdict("fits", placement=parts)


def sizes(checkpoint: Checkpoint, made: Figures) -> list[tuple[str, int]]:
    """(name, bytes as loaded) of every tensor, each storage once."""
    bits = bits_of(made.weights.target)
    seen: set[tuple[str, str]] = set()
    out: list[tuple[str, int]] = []
    for tensor in checkpoint.tensors:
        if tensor.role == "optimizer" or (tensor.storage and (tensor.file, tensor.storage) in seen):
            continue
        seen.add((tensor.file, tensor.storage))
        plain = tensor.dtype in FLOATING and not made.weights.quantized
        out.append((tensor.name, tensor.numel * bits // 8 if plain else tensor.nbytes))
    return out
