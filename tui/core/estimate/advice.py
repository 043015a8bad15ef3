"""The cheapest changes that make a scenario fit, each tried on the same figures before it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.estimate.figures import figures
from tui.core.estimate.verdicts import judge, on_device
from tui.core.record import replace
from tui.core.text import bytes_size, count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.estimate.figures import Figures
    from tui.core.estimate.model import Available, Scenario
    from tui.core.estimate.verdicts import Verdict

_MOST = 4
_GB = 1_000_000_000


def advice(
    checkpoint: Checkpoint, made: Figures, scenario: Scenario, available: Available, verdict: Verdict
) -> tuple[str, ...]:
    """What would help, the cheapest first; why it is unknown or slow where that is the verdict."""
    said = [verdict.reason] if verdict.reason else []
    if verdict.name in ("exceeds", "tight"):
        said += list(_changes(checkpoint, made, scenario, available))[:_MOST]
        if verdict.name == "exceeds":
            what = "RAM" if scenario.device == "cpu" else "device memory"
            said.append(f"free {bytes_size(verdict.shortfall)} of {what}, or use a machine with that much more")
    elif verdict.name == "refused":
        said.append(
            "set vm.overcommit_memory=1, or split the file into shards: "
            "model.save_pretrained(out, max_shard_size='5GB')"
        )
    return tuple(said)


def _changes(checkpoint: Checkpoint, made: Figures, scenario: Scenario, available: Available) -> Iterator[str]:
    yield from _held_by_others(made, scenario, available)
    yield from _smaller_run(checkpoint, made, scenario, available)
    yield from _other_dtype(checkpoint, made, scenario, available)
    yield from _other_devices(checkpoint, made, scenario, available)
    if scenario.device == "cpu" and made.weights.fused_cast:
        yield "HF_DEACTIVATE_ASYNC_LOAD=1 in the environment: the experts are then cast one after the other"
    yield from _offload(made, scenario, available)


def _works(checkpoint: Checkpoint, scenario: Scenario, available: Available, like: Figures | None = None) -> bool:
    """Whether the changed scenario fits; `like` has the same weights."""
    weights = like.weights if like is not None else None
    tried = figures(checkpoint, scenario, available.base, available.place.in_memory, weights)
    return judge(checkpoint, tried, scenario, available).good


def _held_by_others(made: Figures, scenario: Scenario, available: Available) -> Iterator[str]:
    """Another process on the device, where the model would fit without it."""
    if not scenario.device.startswith("cuda:"):
        return
    number = scenario.device.partition(":")[2]
    if not number.isdecimal() or int(number) >= len(available.devices):
        return
    device = available.devices[int(number)]
    for holder in sorted(device.holders, key=lambda item: -(item.bytes or 0))[:1]:
        if holder.bytes and device.free is not None and made.device_high < device.free + holder.bytes:
            name = f" ({holder.name})" if holder.name else ""
            yield f"end process {holder.pid}{name}, which holds {bytes_size(holder.bytes)} of {device.name}"


def _smaller_run(checkpoint: Checkpoint, made: Figures, scenario: Scenario, available: Available) -> Iterator[str]:
    """Fewer sequences, or the longest context that fits."""
    if scenario.batch > 1 and _works(checkpoint, replace(scenario, batch=1), available, made):
        yield "one sequence at a time: batch 1"
        return
    low, high = 0, scenario.context
    while high - low > max(high // 64, 1):
        middle = (low + high) // 2
        if _works(checkpoint, replace(scenario, context=middle), available, made):
            low = middle
        else:
            high = middle
    if low >= 16:
        yield f"a shorter context: at most {count_of(low, 'token')} fit"


def _other_dtype(checkpoint: Checkpoint, made: Figures, scenario: Scenario, available: Available) -> Iterator[str]:
    """16 bits, the file's own dtype, or quantized while loading."""
    words = {
        "auto": "load in the dtype of the file, so that nothing is copied: from_pretrained(…, dtype='auto')",
        "bfloat16": "load in 16 bits: from_pretrained(…, dtype='bfloat16')",
        "int8": "load in 8 bits: quantization_config=BitsAndBytesConfig(load_in_8bit=True); needs bitsandbytes",
        "nf4": "load in 4 bits: quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type='nf4'); "
        "needs bitsandbytes",
    }
    quantizes = scenario.device != "cpu" and not made.weights.quantized
    for dtype in ("auto", "bfloat16", *(("int8", "nf4") if quantizes else ())):
        if dtype not in (scenario.dtype, made.weights.target) and _works(
            checkpoint, replace(scenario, dtype=dtype), available
        ):
            yield words[dtype]
            return


def _other_devices(checkpoint: Checkpoint, made: Figures, scenario: Scenario, available: Available) -> Iterator[str]:
    """Another device, or several together."""
    for index, device in enumerate(available.devices):
        if f"cuda:{index}" != scenario.device and on_device(made, device, available).name == "fits":
            yield f"another device: cuda:{index} ({device.name}, {bytes_size(device.free)} free)"
            return
    if len(available.devices) > 1 and scenario.device != "auto":
        for count in range(2, len(available.devices) + 1):
            few = replace(available, devices=available.devices[:count])
            if _works(checkpoint, replace(scenario, device="auto"), few, made):
                yield f"{count} GPUs together: device_map='auto'"
                return
    if scenario.device != "cpu" and _works(checkpoint, replace(scenario, device="cpu"), available):
        yield "on the CPU, in RAM"


def _offload(made: Figures, scenario: Scenario, available: Available) -> Iterator[str]:
    """The line that keeps the rest on disk or in RAM, where there is room."""
    if available.ram is None or made.load.peak is None:
        return
    spare = int((available.ram - available.base.anonymous) * 0.8)
    if spare < _GB // 10:
        return
    need = made.weights.loaded - spare
    room = available.place.free
    if need > 0 and room is not None and room < need:
        return
    cpu = f"'cpu': '{spare // 1_000_000}MB'"
    gpus = "".join(
        f"{index}: '{int(device.free * 0.85) // 1_000_000}MB', "
        for index, device in enumerate(available.devices)
        if device.free is not None and scenario.device != "cpu"
    )
    yield (
        f"keep the rest on disk: from_pretrained(…, device_map='auto', max_memory={{{gpus}{cpu}}}, "
        "offload_folder='offload')"
    )
