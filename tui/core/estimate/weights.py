"""The weights as stored and as loaded: which tensors the loader casts, fuses or leaves as views of the file.

Mirrors transformers 5.23: `modeling_utils._get_dtype`, `get_state_dict_dtype`, `core_model_loading`. Quantized layouts
need no formula of their own: packed weights, scales and zero points are tensors of the file and keep their dtype.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.core.estimate.numbers import Config, text_config
from tui.core.record import Record, field
from tui.core.tensors import DTYPE_BITS, TORCH_DTYPES, tally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tui.core.checkpoint import Checkpoint
    from tui.core.tensors import Tensor

CASTABLE = frozenset({"F64", "F32", "F16", "BF16"})
"""Dtypes that the loader casts to the model's; 8-bit floats and integers stay as they are."""

QUANTIZING = ("int8", "nf4")
_BLOCK = 64
"""Weights that share one scale in NF4 (bitsandbytes' default)."""

Stack = tuple[str, str]
"""(name of the list of experts, the projection)."""

_JOINED = "gate and up"
_EXPERT = re.compile(r"^(.*experts)\.(\d+)\.(.+)$")
_HALVES = frozenset({"gate_proj", "up_proj", "w1", "w3", "gate", "up"})
_NORMED = (".weight_v", ".parametrizations.weight.original1")
_COMPANION = re.compile(
    r"(\.|_)(scales?|qzeros|qweight|g_idx|absmax|quant_map|nested_\w+|quant_state\.\w+|SCB|weight_format|weight_scale"
    r"(_inv)?|input_scale|zero_point|weight_packed|weight_shape|weight_zero_point|blocks)$"
)
_SIXTEEN_BIT = re.compile(
    r"(^|\.)(lm_head|embed_out|output_projection|wte|wpe|embed\w*|\w*embeddings?|\w*norm\w*|ln_\w+)\b"
)


class Weights(Record, frozen=True):
    """The tensors of a checkpoint in bytes."""

    target: str
    """The dtype of the loaded model: a torch name, `int8` or `nf4`."""

    loaded: int
    """All of them as loaded."""

    stored: int
    parameters: int
    by_dtype: dict[str, int] = field(default_factory=dict)
    cast: int = 0
    """As loaded, those that change their dtype: copies in anonymous memory."""

    fused: int = 0
    """As loaded, those of experts that are stored one by one and stacked: copies too."""

    copied_stored: int = 0
    """As stored, everything that is copied."""

    fused_cast: bool = False
    """Whether the stacked experts change their dtype as well."""

    normed: int = 0
    """As loaded, weights stored as direction and length (weight norm), which the model multiplies out once."""

    stacking: int = 0
    """What stacking holds at most beyond the finished stacks: two projections are joined from a copy of each."""

    expert: int = 0
    """The largest single expert tensor, as loaded."""

    largest: int = 0
    """The largest tensor, as loaded."""

    quantized: str = ""
    """The quantization method that config.json names."""

    dequantized: bool = False
    """Whether the CPU's loader unpacks a layout that only some GPUs run."""


def target_dtype(checkpoint: Checkpoint, dtype: str) -> str:
    """The dtype that the loader picks: what was asked, config.json's, the shard index's, else the first file's."""
    if dtype != "auto":
        return dtype
    config = checkpoint.settings
    named = config.get("dtype") or config.get("torch_dtype") or _inner_dtype(config)
    if isinstance(named, str) and named.removeprefix("torch.") in TORCH_DTYPES:
        return named.removeprefix("torch.")
    first = checkpoint.weight_files[0].tensors if checkpoint.weight_files else checkpoint.tensors
    found = next((tensor.dtype for tensor in first if tensor.dtype in CASTABLE), None)
    return next((name for name, short in TORCH_DTYPES.items() if short == found), "float32")


def _inner_dtype(config: Config) -> object:
    """A composite config has no dtype of its own; its text part's is the model's."""
    text = text_config(config)
    return text.get("dtype") or text.get("torch_dtype") if text is not config else None


def bits_of(target: str) -> int:
    """Bits of one element of a model whose dtype is `target`; 16 for what stays unquantized beside `int8` and `nf4`."""
    return 16 if target in QUANTIZING else DTYPE_BITS.get(TORCH_DTYPES.get(target, ""), 32)


def weigh(checkpoint: Checkpoint, dtype: str, device: str = "cpu") -> Weights:
    """Every tensor's fate under `dtype`, each shared storage once."""
    target = target_dtype(checkpoint, dtype)
    method = _method(checkpoint.settings)
    tensors, stored = checkpoint.distinct, checkpoint.tally
    if "optimizer" in checkpoint.roles:
        tensors = tuple([tensor for tensor in tensors if tensor.role != "optimizer"])
        stored = tally(tensors)
    dequantized = device == "cpu" and method in ("fp8", "mxfp4")
    stacks = _stacks(tensors) if "experts." in checkpoint.name_text else {}
    kept = _kept_dtypes(stored.by_dtype, target) if not dequantized else frozenset()
    if not stacks and kept.issuperset(stored.by_dtype):
        return Weights(
            target=target,
            loaded=stored.bytes,
            stored=stored.bytes,
            parameters=checkpoint.parameters,
            by_dtype=stored.by_dtype,
            normed=_normed(tensors) if _is_normed(checkpoint) else 0,
            largest=stored.largest,
            quantized=method,
        )
    loaded = cast = fused = copied = largest = expert = normed = 0
    groups: dict[Stack, int] = {}
    first: dict[Stack, str] = {}
    fused_cast = False
    for tensor in tensors:
        stack = stacks.get(tensor.name)
        size, changed = tensor.nbytes, False
        if tensor.dtype not in kept:
            size = _loaded(tensor, target, method if dequantized else "", stack is not None, bool(method))
            changed = size != tensor.nbytes or _changes(tensor, target, bool(method))
        loaded += size
        largest = size if size > largest else largest
        normed += size if tensor.name.endswith(_NORMED) else 0
        if stack is not None:
            fused += size
            copied += tensor.nbytes
            expert = max(expert, size)
            fused_cast = fused_cast or changed
            groups[stack] = groups.get(stack, 0) + size
            first[stack] = min(first.get(stack, tensor.name), tensor.name)
        elif changed:
            cast += size
            copied += tensor.nbytes
    return Weights(
        target=target,
        loaded=loaded,
        stored=stored.bytes,
        parameters=checkpoint.parameters,
        by_dtype=stored.by_dtype,
        cast=cast,
        fused=fused,
        copied_stored=copied,
        fused_cast=fused_cast,
        normed=normed,
        stacking=_stacking(groups, first, fused),
        expert=expert,
        largest=largest,
        quantized=method,
        dequantized=dequantized,
    )


def _is_normed(checkpoint: Checkpoint) -> bool:
    """Whether any weight is stored as direction and length."""
    return any(suffix in checkpoint.name_text for suffix in _NORMED)


def _normed(tensors: tuple[Tensor, ...]) -> int:
    return sum([tensor.nbytes for tensor in tensors if tensor.name.endswith(_NORMED)])


def _method(config: Config) -> str:
    part = config.get("quantization_config") or text_config(config).get("quantization_config")
    named = part.get("quant_method") if isinstance(part, dict) else None
    return named if isinstance(named, str) else ""


def _stacks(tensors: tuple[Tensor, ...]) -> dict[str, Stack]:
    """Tensors of single experts, by the stack that the loader makes of them (gate and up projections share one)."""
    found: dict[str, Stack] = {}
    members: dict[str, int] = {}
    for tensor in [tensor for tensor in tensors if "experts." in tensor.name]:
        match = _EXPERT.match(tensor.name)
        if match is None or len(tensor.shape) != 2:
            continue
        part = _JOINED if match[3].split(".")[0] in _HALVES else match[3]
        found[tensor.name] = (match[1], part)
        members[match[1]] = members.get(match[1], 0) + 1
    return {name: stack for name, stack in found.items() if members[stack[0]] > 1}


def _stacking(groups: dict[Stack, int], first: dict[Stack, str], total: int) -> int:
    """The largest moment while the stacks are made, in the order of their names, over what they are in the end."""
    made = most = 0
    for (_, part), size in sorted(groups.items(), key=lambda item: _natural(first[item[0]])):
        most = max(most, made + (2 * size if part == _JOINED else size))
        made += size
    return max(most - total, 0)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts numbers in names by value, as the loader does (`dot_natural_key`)."""
    pieces = name.split(".")
    return [(int(piece), "") if piece.isdecimal() and len(piece) < 10 else (-1, piece) for piece in pieces]


def _kept_dtypes(found: Iterable[str], target: str) -> frozenset[str]:
    """Dtypes that the loader never changes: the model's own, and those that it does not cast."""
    return frozenset(name for name in found if name not in CASTABLE or name == TORCH_DTYPES.get(target))


def _changes(tensor: Tensor, target: str, quantized: bool) -> bool:
    """Whether the loader makes a copy in another dtype."""
    if tensor.dtype not in CASTABLE or (quantized and _COMPANION.search(tensor.name)):
        return False
    return TORCH_DTYPES.get(target) != tensor.dtype


def _loaded(tensor: Tensor, target: str, unpacked: str, stacked: bool, quantized: bool) -> int:
    """Bytes of one tensor once loaded."""
    if unpacked == "fp8" and tensor.dtype.startswith("F8_E4M3"):
        return tensor.numel * 2
    if unpacked == "mxfp4" and tensor.name.endswith("_blocks"):
        return tensor.nbytes * 4
    if not _changes(tensor, target, quantized):
        return tensor.nbytes
    if target in QUANTIZING and not stacked and is_linear(tensor):
        return _quantized(tensor, target)
    return tensor.numel * bits_of(target) // 8


def is_linear(tensor: Tensor) -> bool:
    """Whether bitsandbytes replaces the layer: a matrix that is no embedding, norm or output head."""
    named = tensor.name.endswith(".weight") and len(tensor.shape) == 2
    return named and _SIXTEEN_BIT.search(tensor.name.removesuffix(".weight")) is None


def _quantized(tensor: Tensor, target: str) -> int:
    """A linear weight in 8 bits with a 32-bit scale a row, or in 4 bits with one for each block of 64."""
    if target == "int8":
        return tensor.numel + 4 * tensor.shape[0]
    return (tensor.numel + 1) // 2 + 4 * ((tensor.numel + _BLOCK - 1) // _BLOCK)
