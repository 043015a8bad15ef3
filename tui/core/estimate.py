"""Memory to load and to run, from headers and config alone.

Two numbers for RAM: what the process must have (anonymous memory: where the kernel kills) and what it wants
(file-backed pages: speed). In transformers 5.23 mapped files stay views of the file; only tensors that are cast become
anonymous. Rules and their measured errors: `modeling_utils._load_pretrained_model`, `core_model_loading`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tui.core.tensors import DTYPE_BITS, FLOATING, TORCH_DTYPES, bytes_by_dtype
from tui.core.text import bytes_size

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint

BASE_ANONYMOUS = 259_000_000
BASE_FILE = 86_000_000
"""A CPU interpreter with torch, transformers and one modeling module imported (torch 2.13, transformers 5.23)."""

_LOAD_OVERHEAD = 3_000_000
_DEVICE_OVERHEAD = 500_000_000
_TIGHT = 0.9
CHOICES = ("auto", "float32", "bfloat16", "float16", "int8", "nf4")
_TARGET_BITS = {"float32": 32, "bfloat16": 16, "float16": 16, "int8": 8, "nf4": 4.5}


@dataclass(frozen=True)
class Available:
    """What this machine has, in bytes; `None` is unknown."""

    ram: int | None = None
    ram_total: int | None = None
    ram_source: str = "unknown"
    swap: int | None = None
    mappable: int | None = None
    devices: tuple[tuple[str, int | None, int | None], ...] = ()
    """(name, free, total) of each GPU."""

    devices_reason: str = ""


@dataclass(frozen=True)
class Estimate:
    """Bytes to load and to run one checkpoint; `None` is unknown."""

    dtype: str
    parameters: int | None
    weights: int | None
    """Bytes of the weights at the target dtype."""

    base: int = BASE_ANONYMOUS
    load_peak: int | None = None
    run: int | None = None
    wants: int | None = None
    low: int | None = None
    high: int | None = None
    kv_cache: int | None = None
    activations: int | None = None
    device_total: int | None = None
    by_dtype: dict[str, int] = field(default_factory=dict)
    largest_mapping: int = 0
    verdict: str = "unknown"
    shortfall: int = 0
    advice: tuple[str, ...] = ()


def estimate(
    checkpoint: Checkpoint,
    available: Available,
    dtype: str = "auto",
    context: int = 512,
    batch: int = 1,
    device: str = "cpu",
) -> Estimate:
    """The estimate for this checkpoint on this machine, with its verdict."""
    tensors = tuple(tensor for tensor in checkpoint.tensors if tensor.role != "optimizer")
    if not tensors or checkpoint.weights.problems:
        return Estimate(dtype, None, None, advice=("the tensors could not be read, so nothing can be estimated",))
    target = target_dtype(checkpoint, dtype)
    stored = checkpoint.tensor_bytes
    by_dtype = bytes_by_dtype(tensors)
    weights = sum(_target_bytes(dtype, size, target) for dtype, size in by_dtype.items())
    cast, cast_stored = _cast(by_dtype, target)
    legacy = any(file.format in ("torch_legacy", "pickle") for file in checkpoint.weight_files)
    plain = checkpoint.kind in ("torch", "pickle", "lightning")
    load = BASE_ANONYMOUS + (stored + cast if legacy else stored if plain else cast + _LOAD_OVERHEAD)
    after = BASE_ANONYMOUS + (weights if legacy or plain else cast)
    kv, activations = _running(checkpoint, context, batch, target)
    run = after + activations + (kv or 0)
    file_part = 0 if legacy or plain else stored
    wants = max(load + (0 if legacy or plain else cast_stored), run + file_part) + BASE_FILE
    peak = max(load, run)
    margin = max(int(peak * 0.03), 15_000_000)
    on_device = weights + (kv or 0) + activations + _DEVICE_OVERHEAD
    largest = max(
        (file.size for file in checkpoint.weight_files if file.format in ("safetensors", "torch_zip")), default=0
    )
    made = Estimate(
        dtype=target,
        parameters=checkpoint.parameters,
        weights=weights,
        load_peak=load,
        run=run,
        wants=wants,
        low=peak - margin,
        high=peak + margin,
        kv_cache=kv,
        activations=activations,
        device_total=on_device,
        by_dtype=by_dtype,
        largest_mapping=0 if legacy or plain else largest,
    )
    return _judged(made, available, device)


def target_dtype(checkpoint: Checkpoint, dtype: str) -> str:
    """The dtype that the loader casts to: what was asked, the config's, else the first floating one in the file."""
    if dtype != "auto":
        return dtype
    config = checkpoint.config.mapping if checkpoint.config is not None else {}
    named = config.get("dtype") or config.get("torch_dtype")
    if isinstance(named, str) and named in TORCH_DTYPES:
        return named
    first = next((tensor.dtype for tensor in checkpoint.tensors if tensor.dtype in FLOATING), "F32")
    return next((name for name, short in TORCH_DTYPES.items() if short == first), "float32")


def _target_bits(target: str) -> float:
    return _TARGET_BITS.get(target, float(DTYPE_BITS.get(TORCH_DTYPES.get(target, ""), 32)))


def _target_bytes(dtype: str, stored: int, target: str) -> int:
    """Bytes of one dtype's tensors once loaded: integers keep their dtype."""
    if dtype not in FLOATING:
        return stored
    return int(stored * _target_bits(target) / DTYPE_BITS[dtype])


def _cast(by_dtype: dict[str, int], target: str) -> tuple[int, int]:
    """(bytes after, bytes before) of the tensors that are cast, which become anonymous memory."""
    same = TORCH_DTYPES.get(target)
    changed = {dtype: size for dtype, size in by_dtype.items() if dtype in FLOATING and dtype != same}
    after = sum(_target_bytes(dtype, size, target) for dtype, size in changed.items())
    return after, sum(changed.values())


def _running(checkpoint: Checkpoint, context: int, batch: int, target: str) -> tuple[int | None, int]:
    """KV cache (`None` where the architecture is not known to have one), and activations of one pass, roughly."""
    config = checkpoint.config.mapping if checkpoint.config is not None else {}
    part = config.get("text_config")
    text: dict[str, Any] = part if isinstance(part, dict) else config
    hidden = _number(text, "hidden_size", "n_embd", "d_model", "dim")
    vocabulary = _number(text, "vocab_size") or 0
    inner = _number(text, "intermediate_size", "n_inner", "d_ff") or 4 * (hidden or 0)
    element = _target_bits(target) / 8
    activations = int(batch * context * (8 * (hidden or 0) + 2 * inner) * max(element, 2))
    if not _generates(config):
        return 0, activations
    activations += int(batch * vocabulary * 4)
    layers = _number(text, "num_hidden_layers", "n_layer", "num_layers")
    heads = _number(text, "num_attention_heads", "n_head", "num_heads")
    if not (layers and heads and hidden) or any(key in text for key in ("kv_lora_rank", "layer_types", "ssm_cfg")):
        return None, activations
    key_heads = _number(text, "num_key_value_heads") or heads
    size = _number(text, "head_dim") or hidden // heads
    return int(2 * layers * key_heads * size * context * batch * max(element, 2)), activations


def _generates(config: dict[str, Any]) -> bool:
    names = config.get("architectures")
    return isinstance(names, list) and any(
        str(name).endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")) for name in names
    )


def _number(config: Any, *names: str) -> int | None:
    for name in names:
        value = config.get(name) if isinstance(config, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40:
            return value
    return None


def _judged(made: Estimate, available: Available, device: str) -> Estimate:
    """The estimate with verdict, shortfall and advice."""
    if device != "cpu" and (device != "auto" or available.devices):
        return _judged_on_device(made, available, device)
    if available.ram is None or made.load_peak is None or made.run is None or made.wants is None:
        return replace(made, verdict="unknown", advice=("how much RAM is free is not known on this system",))
    if available.mappable is not None and made.largest_mapping > available.mappable:
        return replace(
            made,
            verdict="refused",
            shortfall=made.largest_mapping - available.mappable,
            advice=(
                f"the system will not map a file of {bytes_size(made.largest_mapping)}: it grants "
                f"{bytes_size(available.mappable)}",
                "set vm.overcommit_memory=1, or split the file into shards: "
                "model.save_pretrained(out, max_shard_size='5GB')",
            ),
        )
    must = max(made.load_peak, made.run)
    if must > available.ram:
        advice = _cheaper(made)
        return replace(made, verdict="exceeds", shortfall=must - available.ram, advice=advice)
    if must > available.ram * _TIGHT:
        return replace(made, verdict="tight", advice=_cheaper(made))
    if made.wants > available.ram:
        return replace(
            made,
            verdict="fits_slowly",
            advice=("parts of the file are read again from disk while the model runs",),
        )
    return replace(made, verdict="fits")


def _cheaper(made: Estimate) -> tuple[str, ...]:
    """What would lower the need."""
    out = ["close other programs, or use a machine with more RAM"]
    if made.dtype == "float32":
        out.insert(0, "load in 16 bits: from_pretrained(…, dtype='bfloat16')")
    elif made.by_dtype and TORCH_DTYPES.get(made.dtype) not in made.by_dtype:
        out.insert(0, "load in the dtype of the file, so that nothing is copied: from_pretrained(…, dtype='auto')")
    return tuple(out)


def _judged_on_device(made: Estimate, available: Available, device: str) -> Estimate:
    index = int(device.partition(":")[2] or 0) if device.partition(":")[2].isdigit() else 0
    if index >= len(available.devices):
        return replace(made, verdict="unknown", advice=(available.devices_reason or f"there is no device {device}",))
    free = available.devices[index][1]
    if free is None or made.device_total is None:
        return replace(made, verdict="unknown", advice=("the driver does not tell how much memory is free",))
    if made.device_total > free:
        return replace(made, verdict="exceeds", shortfall=made.device_total - free, advice=_cheaper(made))
    return replace(made, verdict="tight" if made.device_total > free * _TIGHT else "fits")


def to_json(made: Estimate, available: Available, path: str) -> dict[str, Any]:
    """The contract's object for `memory --json`."""
    total = made.device_total
    return {
        "schema": 1,
        "path": path,
        "dtype": made.dtype,
        "parameters": made.parameters,
        "weights_bytes": made.weights,
        "ram": {
            "base_bytes": made.base,
            "load_peak_bytes": made.load_peak,
            "run_bytes": made.run,
            "wants_bytes": made.wants,
            "low_bytes": made.low,
            "high_bytes": made.high,
        },
        "device": {
            "weights_bytes": made.weights,
            "kv_cache_bytes": made.kv_cache,
            "activation_bytes": made.activations,
            "overhead_bytes": _DEVICE_OVERHEAD,
            "total_bytes": total,
            "low_bytes": int(total * 0.9) if total is not None else None,
            "high_bytes": int(total * 1.15) if total is not None else None,
        },
        "by_dtype": made.by_dtype,
        "available": {
            "ram_bytes": available.ram,
            "ram_total_bytes": available.ram_total,
            "ram_source": available.ram_source,
            "devices": [
                {"name": name, "free_bytes": free, "total_bytes": size} for name, free, size in available.devices
            ],
            "devices_reason": available.devices_reason or None,
        },
        "verdict": made.verdict,
        "shortfall_bytes": made.shortfall,
        "advice": list(made.advice),
    }
