"""Anonymous and file-backed memory while the real loader reads a checkpoint, over what the interpreter holds anyway.

In transformers 5.23 safetensors and zip `.bin` files are mapped and parameters stay views of the file; what is cast or
stacked becomes a copy in anonymous memory (`modeling_utils._load_pretrained_model`, `core_model_loading`). A legacy
`.bin` and a `torch.load` by hand are read whole. Measured errors: tests/benchmarks/MEMORY.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.estimate.numbers import whole
from tui.core.record import Record

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.estimate.numbers import Config
    from tui.core.estimate.weights import Weights

OVERHEAD = 3_000_000
"""The model's Python objects and the allocator's slack."""

_GGUF_SLACK = 105_000_000
_GGUF_UNSURE = 45_000_000
_LARGE_EXPERT = 16_000_000
"""Above this size malloc gives freed expert tensors straight back to the system."""

_KEPT, _KEPT_CAST, _KEPT_UNSURE = 18, 90, 15
"""Percent of small experts' bytes that the allocator keeps while they are stacked: measured 0 to 22 where they keep
their dtype, 78 to 109 where they are cast, different from run to run and under load."""

_POSITIONS = {"pegasus": 48, "marian": 48, "whisper": 11}
"""Bytes a number that these classes take for a moment to compute their sinusoidal positions anew: Python's own floats
in a list, a pointer to each, and an array; in torch the sines, cosines and their halves."""

_WHOLE = ("torch", "lightning", "pickle", "torchscript")
_LIBRARY = ("transformers", "sentence_transformers")


class Load(Record, frozen=True):
    """Bytes over the interpreter's base; `None` where the loader of this kind is not modelled."""

    rule: str
    peak: int | None = None
    after: int | None = None
    file_peak: int = 0
    """File-backed pages touched while loading."""

    file_later: int = 0
    """File-backed pages that the first pass touches."""

    low: int = 0
    high: int = 0
    """How far below and above `peak` the measured peak may lie."""

    reason: str = ""


def load_of(checkpoint: Checkpoint, weights: Weights) -> Load:
    """The rule for this kind of checkpoint."""
    if checkpoint.kind in _LIBRARY:
        formats = {file.format for file in checkpoint.weight_files}
        if formats & {"torch_legacy", "pickle"}:
            return _legacy(weights)
        return _mapped(weights, positions(checkpoint))
    if checkpoint.kind in _WHOLE:
        stored = checkpoint.tensor_bytes
        return Load("read whole by torch.load", stored, stored, low=OVERHEAD, high=OVERHEAD + stored // 100)
    if checkpoint.kind == "safetensors":
        return Load("mapped, every tensor a view of the file", 0, 0, file_later=weights.stored, high=OVERHEAD)
    if checkpoint.kind == "gguf":
        return _gguf(checkpoint)
    return Load("", reason=f"how a {checkpoint.kind} checkpoint takes memory while it loads is not modelled")


def positions(checkpoint: Checkpoint) -> int:
    """What computing positions takes beside the weights, for the families that do it at every load."""
    config: Config = checkpoint.settings
    each = _POSITIONS.get(str(config.get("model_type")), 0)
    if not each:
        return 0
    longest = whole(config, "max_source_positions", "max_position_embeddings", most=1 << 20) or 0
    return each * longest * (whole(config, "d_model", most=1 << 20) or 0)


def _mapped(weights: Weights, positions: int) -> Load:
    """`from_pretrained` on mapped files: views, copies of what is cast, and stacks of experts."""
    copied = weights.cast + weights.fused + weights.normed
    kept = weights.stored - weights.copied_stored
    words = ["mapped"]
    if weights.cast:
        words.append(f"{'unpacked' if weights.dequantized else 'cast'} to {weights.target}")
    if weights.fused:
        words.append("experts stacked")
    more, kept_after, low, high = _stacking(weights)
    return Load(
        ", ".join(words),
        peak=copied + OVERHEAD + more + positions,
        after=copied + OVERHEAD + kept_after,
        file_peak=weights.copied_stored,
        file_later=kept,
        low=low + copied // 100,
        high=high + copied // 100,
    )


def _stacking(weights: Weights) -> tuple[int, int, int, int]:
    """(more at the peak, what stays in use, how far below, how far above) while experts are stacked.

    Worker threads read ahead of the stacking thread, and freed blocks below malloc's threshold stay with the process;
    the many that a cast leaves are used again by the first pass.
    """
    if not weights.fused:
        return 0, 0, 0, 0
    if weights.expert >= _LARGE_EXPERT:
        return weights.stacking, 0, weights.stacking, weights.stacking
    kept = weights.fused * (_KEPT_CAST if weights.fused_cast else _KEPT) // 100
    unsure = weights.fused * _KEPT_UNSURE // 100
    more = weights.stacking + kept
    return more, 0 if weights.fused_cast else more, unsure, unsure


def _legacy(weights: Weights) -> Load:
    """A `.bin` from before torch 1.6 cannot be mapped: all of it is read, then cast beside it."""
    copied = weights.cast + weights.fused
    return Load(
        f"read whole{f', cast to {weights.target}' if weights.cast else ''}",
        peak=weights.stored + copied + OVERHEAD,
        after=weights.loaded + OVERHEAD,
        low=copied // 100,
        high=weights.stored // 100 + copied // 100,
    )


def _gguf(checkpoint: Checkpoint) -> Load:
    """`from_pretrained(gguf_file=…)` unpacks everything to float32."""
    if not checkpoint.tensors:
        return Load("", reason="the tensors of this GGUF file were not read")
    sizes = [tensor.numel * 4 for tensor in checkpoint.tensors]
    total, largest = sum(sizes), max(sizes)
    peak = total + largest * 3 // 2 + _GGUF_SLACK
    return Load("unpacked to float32", peak, total + _GGUF_SLACK, file_peak=checkpoint.bytes,
                low=peak // 10, high=peak // 10 + _GGUF_UNSURE)  # fmt: skip
