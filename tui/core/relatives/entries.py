"""A tensor as it is compared: a name that both sides may know, its shape there, and the way from its bytes to it."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any

from tui.core.record import Record
from tui.core.relatives import gguf_names

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint, FileReport
    from tui.core.tensors import Tensor

_FLAX_ENDS = {"kernel": "weight", "scale": "weight", "embedding": "weight", "mean": "running_mean",
              "var": "running_var"}  # fmt: skip
"""Last words of Flax's names by torch's (`modeling_flax_pytorch_utils.py`, transformers 4.57)."""

_FLAX_TOPS = ("params", "batch_stats")
_FLAX_LIST = re.compile(r"^(layers?|blocks?|h)_(\d+)$")


class Entry(Record, frozen=True):
    """One tensor of one side."""

    tensor: Tensor
    name: str
    """Under the name that it is looked for."""

    shape: tuple[int, ...]
    stored: tuple[int, ...] = ()
    """Sizes in the order of the bytes, the slowest first."""

    axes: tuple[int, ...] | None = None
    """Which stored axis each axis of `shape` is; `None` where the elements lie in no such order."""

    heads: int = 0
    """Heads whose rows llama.cpp has interleaved for its rotary embedding."""

    shift: float = 0.0
    """What a converter has added to every element."""

    order: str = "<"

    @property
    def is_plain(self) -> bool:
        """Whether the bytes are those of the compared shape, front to back."""
        return self.axes == tuple(range(len(self.shape))) and not self.heads and not self.shift


def entries(checkpoint: Checkpoint) -> list[Entry]:
    """Every tensor of a checkpoint as it is compared, the state of a training run left out."""
    return [
        _entry(tensor, checkpoint.by_name.get(tensor.file))
        for tensor in checkpoint.tensors
        if tensor.role not in ("optimizer", "metric")
    ]


def transposed(entry: Entry) -> Entry:
    """The same matrix read the other way round."""
    axes = None if entry.axes is None else entry.axes[::-1]
    return Entry(entry.tensor, entry.name, entry.shape[::-1], entry.stored, axes, 0, entry.shift, entry.order)


def _entry(tensor: Tensor, file: FileReport | None) -> Entry:
    kind, order = file.format if file is not None else "", byte_order(tensor, file)
    if file is not None and kind == "gguf":
        return _gguf(tensor, file.metadata, order)
    stored, axes = _order(tensor)
    if kind == "flax" or (kind == "npz" and "/" in tensor.name):
        return _flax(tensor, stored, axes)
    return Entry(tensor, tensor.name, tensor.shape, stored, axes, order=order)


def byte_order(tensor: Tensor, file: FileReport | None) -> str:
    """`<` or `>`: numpy's and GGUF's files, and bundles of TensorFlow, may hold numbers with the high byte first."""
    if file is None:
        return "<"
    if file.format in ("npy", "npz"):
        descr = file.metadata.get("descr")
        held = descr.get(tensor.name, "") if isinstance(descr, dict) else ""
        return ">" if isinstance(held, str) and held.startswith(">") else "<"
    swapped = any(problem.code == "gguf-byte-order" for problem in file.problems)
    return ">" if swapped or file.metadata.get("endianness") == "big" else "<"


def _order(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Sizes in the order of the bytes and the axes that lead to the tensor's shape; `None` where it skips bytes."""
    shape = tensor.shape
    plain = tuple(range(len(shape)))
    if tensor.stride is None:
        return shape, plain
    if len(tensor.stride) != len(shape):  # a pickle may say anything
        return shape, None
    slowest = sorted(plain, key=lambda axis: (-tensor.stride[axis], axis))  # type: ignore[index]  # set above
    stored = tuple(shape[axis] for axis in slowest)
    for place, axis in enumerate(slowest):
        if shape[axis] > 1 and tensor.stride[axis] != prod(stored[place + 1 :]):
            return stored, None
    return stored, tuple(slowest.index(axis) for axis in plain)


def _gguf(tensor: Tensor, metadata: dict[str, Any], order: str) -> Entry:
    """Dimensions come fastest first; names, matrices and query rows as the converter has changed them."""
    arch = gguf_names.architecture(metadata)
    stored = tensor.shape[::-1]
    name = gguf_names.translated(tensor.name, arch) or tensor.name
    if len(stored) == 2 and gguf_names.is_transposed(tensor.name, arch):
        return Entry(tensor, name, stored[::-1], stored, (1, 0), order=order)
    heads = gguf_names.rotary_heads(tensor.name, metadata)
    if heads and (not stored or stored[0] % (2 * heads)):
        heads = 0
    shift = gguf_names.shift(tensor.name, arch)
    return Entry(tensor, name, stored, stored, tuple(range(len(stored))), heads, shift, order)


def _flax(tensor: Tensor, stored: tuple[int, ...], axes: tuple[int, ...] | None) -> Entry:
    """Flax's path in torch's words: kernels are [..., in, out] where torch has [out, in, ...]."""
    words = tensor.name.split("/")
    if words[0] in _FLAX_TOPS and len(words) > 1:
        words = words[1:]
    numbered = [_FLAX_LIST.sub(r"\1.\2", word) for word in words]
    name = ".".join([*numbered[:-1], _FLAX_ENDS.get(words[-1], words[-1])])
    count = len(tensor.shape)
    if words[-1] != "kernel" or count < 2 or axes is None:
        return Entry(tensor, name, tensor.shape, stored, axes)
    turned = (count - 1, count - 2, *range(count - 2))
    shape = tuple(tensor.shape[axis] for axis in turned)
    return Entry(tensor, name, shape, stored, tuple(axes[axis] for axis in turned))
