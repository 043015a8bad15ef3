"""`tf_model.h5`, and what `save_weights` of the same classes wrote: under torch's names, and how it is converted.

Mirrors `convert_tf_weight_name_to_pt_weight_name` and `apply_transpose` of transformers 4.57
(`modeling_tf_pytorch_utils.py`); transformers 5 reads no TensorFlow weights any more. Compared with what that function
made of files of BERT, RoBERTa, XLM-RoBERTa, DistilBERT, ELECTRA, ALBERT, DeBERTa, GPT-2, T5, BART and ViT.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.core.checkpoint import FileReport, Weights
from tui.core.record import replace
from tui.core.tensors import Tensor

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint

NAME = "tf_model.h5"
GENERIC = frozenset({
    "bert", "roberta", "xlm-roberta", "distilbert", "electra", "albert", "deberta-v2", "gpt2", "t5", "bart", "vit",
})  # fmt: skip
"""Families whose names follow the general rules and that were compared; others may have rules of their own."""

_WEIGHTS = "model.safetensors"
_DUPLICATE = r"/[^/]*___([^/]*)/"
_LAST = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias"}
_KERNELS = ("kernel", "pointwise_kernel", "depthwise_kernel")
_AXES = {4: (3, 2, 0, 1), 3: (2, 1, 0)}
"""Torch's order of axes for kernels of convolutions, by their number."""

MAX_NAME = 2048
MAX_TENSORS = 100_000


def tf_model(checkpoint: Checkpoint) -> FileReport | None:
    """The readable `tf_model.h5`, or another file of its names, where no weights are that transformers 5 would take."""
    if checkpoint.kind not in ("transformers", "keras") or checkpoint.weights.files:
        return None
    held = [file for file in checkpoint.files if _is_weights(file)]
    named = [file for file in held if file.name == NAME and checkpoint.kind == "transformers"]
    alike = [file for file in held if _has_tensorflow_names(file)]
    return named[0] if named else alike[0] if len(alike) == 1 else None


def _is_weights(file: FileReport) -> bool:
    whole = file.format == "hdf5" and file.fatal is None and bool(file.tensors)
    return whole and file.metadata.get("form") == "weights" and file.metadata.get("written_by") == "keras 2"


_SCOPE = re.compile(r"[^/]*/tf_[a-z0-9_]+/")


def _has_tensorflow_names(file: FileReport) -> bool:
    """Whether every array lies in the scope of a class like `TFBertModel`: `bert/tf_bert_model/bert/…`."""
    return len(file.tensors) <= MAX_TENSORS and all(_SCOPE.match(tensor.name) for tensor in file.tensors)


def translated(path: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """(torch's name, torch's shape) of one array: `bert/tf_bert_model/bert/pooler/dense/kernel:0` of [8, 16]."""
    parts = _parts(path)
    last, axes = parts[-1], order(parts, len(shape))
    parts[-1] = _LAST.get(last, last.replace("_kernel", ".weight"))
    turned = tuple(shape[axis] for axis in axes)
    if parts[-1] == "bias" and len(turned) == 2 and turned[0] == 1:
        turned = turned[1:]  # Conv1D of GPT-2 keeps its bias as a row
    return ".".join(parts), turned


def _parts(path: str) -> list[str]:
    """The levels of a name without the layer's group and the model's own scope."""
    name = path.partition("/")[2] or path
    name = name.replace(":0", "")
    if len(name) <= MAX_NAME and name.count("___") <= 10:
        name = re.sub(_DUPLICATE, r"/\1/", name)
    name = re.sub("//+", "/", name.replace("_._", "/"))
    levels = name.split("/")
    return levels[1:] if len(levels) > 1 else levels


def order(parts: list[str], rank: int) -> tuple[int, ...]:
    """The order in which torch has the axes of an array."""
    if parts[-1] == "kernel" and rank in _AXES:
        return _AXES[rank]
    if parts[-1] in _KERNELS or "emb_projs" in parts or "out_projs" in parts:
        return tuple(reversed(range(rank)))
    return tuple(range(rank))


def as_transformers(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint as it is once it is converted: names and shapes of torch; others unchanged."""
    file = tf_model(checkpoint)
    if file is None:
        return checkpoint
    tensors: dict[str, Tensor] = {}
    for tensor in file.tensors:
        name, shape = translated(tensor.name, tensor.shape)
        tensors.setdefault(name, Tensor(name, tensor.dtype, shape, tensor.nbytes, _WEIGHTS))
    report = FileReport(_WEIGHTS, "safetensors", file.size, tuple(tensors.values()))
    return replace(
        checkpoint, kind="transformers", is_file=False, files=(report,), weights=Weights((_WEIGHTS,), "safetensors")
    )


_PROGRAM = """import os, re, shutil
import h5py, numpy as np
from safetensors.numpy import load_file, save_file

source, target = {source!r}, {target!r}
last, kernels, axes = {last!r}, {kernels!r}, {axes!r}
os.makedirs(target)  # a new place; an existing one is left alone
tensors = {{}}

def take(path, item):
    if not isinstance(item, h5py.Dataset):
        return
    name = path.partition("/")[2].replace(":0", "")
    name = re.sub({duplicate!r}, r"/\\1/", name).replace("_._", "/")
    parts = re.sub("//+", "/", name).split("/")
    parts = parts[1:] if len(parts) > 1 else parts
    value = item[()]
    if parts[-1] == "kernel" and value.ndim in axes:
        value = value.transpose(axes[value.ndim])
    elif parts[-1] in kernels or "emb_projs" in parts or "out_projs" in parts:
        value = value.T
    parts[-1] = last.get(parts[-1], parts[-1].replace("_kernel", ".weight"))
    if parts[-1] == "bias" and value.ndim == 2 and value.shape[0] == 1:
        value = value[0]
    tensors[".".join(parts)] = np.ascontiguousarray(value)

with h5py.File(os.path.join(source, {name!r}), "r") as file:
    file.visititems(take)
save_file(tensors, os.path.join(target, "model.safetensors"), {{"format": "pt"}})
for name in {beside}:
    if name.endswith((".json", ".txt", ".model")) and not name.endswith(".index.json"):
        shutil.copy(os.path.join(source, name), target)
back = load_file(os.path.join(target, "model.safetensors"))
assert back.keys() == tensors.keys(), "names differ"
for name, value in tensors.items():
    assert back[name].dtype == value.dtype and np.array_equal(back[name], value), name
print(len(tensors), "tensors written to", target, "and verified")
"""


def conversion(checkpoint: Checkpoint, target: str) -> str:
    """A program that writes the weights as safetensors into a new directory and compares every tensor."""
    file = tf_model(checkpoint)
    return _PROGRAM.format(
        source=str(checkpoint.root.absolute()), target=target, last=_LAST, kernels=_KERNELS, axes=_AXES,
        duplicate=_DUPLICATE, name=file.name if file is not None else NAME,
        beside="()" if checkpoint.is_file else "os.listdir(source)",
    )  # fmt: skip
