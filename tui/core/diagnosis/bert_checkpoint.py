"""Google's original BERT checkpoints: their names under those of transformers, and the program that converts them.

The names are those that `load_tf_weights_in_bert` of transformers 4 translated (`modeling_bert.py`); transformers 5 has
no such function any more. Kernels are stored transposed: TensorFlow has [in, out], torch [out, in].
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport, JsonFile, Weights
from tui.core.json_text import dumps
from tui.core.record import replace
from tui.core.tensors import Tensor

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint

_SKIPPED = re.compile(r"(^|/)(adam_[mv]|AdamWeightDecay\w*|global_step|signal_early_stopping)(/|$|_)|/adam_[mv]$")
_WORDS: tuple[tuple[str, str], ...] = (
    (r"layer_(\d+)", r"layer.\1"),
    (r"word_embeddings$", "word_embeddings.weight"),
    (r"position_embeddings$", "position_embeddings.weight"),
    (r"token_type_embeddings$", "token_type_embeddings.weight"),
    (r"gamma$", "weight"),
    (r"beta$", "bias"),
    (r"kernel$", "weight"),
)
_HEADS = {
    "cls.predictions.output_bias": "cls.predictions.bias",
    "cls.seq_relationship.output_weights": "cls.seq_relationship.weight",
    "cls.seq_relationship.output_bias": "cls.seq_relationship.bias",
    "output_weights": "classifier.weight",
    "output_bias": "classifier.bias",
    "cls.squad.output_weights": "qa_outputs.weight",
    "cls.squad.output_bias": "qa_outputs.bias",
}


def is_google_bert(checkpoint: Checkpoint) -> bool:
    """Whether the tensors have the names of Google's BERT."""
    names = {tensor.name for tensor in checkpoint.tensors}
    return "bert/embeddings/word_embeddings" in names and "bert/embeddings/LayerNorm/gamma" in names


def _unread(checkpoint: Checkpoint) -> bool:
    """Whether it is a checkpoint of TensorFlow, with config.json or without, and no weights that a class would take."""
    return checkpoint.kind in ("tensorflow_checkpoint", "transformers") and not checkpoint.weights.files


def translated(name: str) -> tuple[str, bool] | None:
    """(transformers' name, whether it is transposed) of a Google name, `None` for an optimizer's arrays."""
    if _SKIPPED.search(name):
        return None
    parts = name.split("/")
    out = []
    for part in parts:
        for pattern, new in _WORDS:
            part = re.sub(f"^{pattern}" if not pattern.startswith("layer") else f"^{pattern}$", new, part)
        out.append(part)
    joined = ".".join(out)
    return _HEADS.get(joined, joined), parts[-1] == "kernel"


def translated_tensors(tensors: tuple[Tensor, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes under transformers' names."""
    out: dict[str, tuple[int, ...]] = {}
    for tensor in tensors:
        found = translated(tensor.name)
        if found is not None:
            out[found[0]] = tensor.shape[::-1] if found[1] else tensor.shape
    return out


def as_transformers(checkpoint: Checkpoint) -> Checkpoint:
    """Google's checkpoint as it is once it is converted: names, shapes and config of transformers; others unchanged."""
    if not _unread(checkpoint) or not is_google_bert(checkpoint):
        return checkpoint
    dtypes = {found[0]: tensor for tensor in checkpoint.tensors if (found := translated(tensor.name)) is not None}
    tensors = tuple(
        Tensor(name, dtypes[name].dtype, shape, dtypes[name].nbytes, _WEIGHTS)
        for name, shape in translated_tensors(checkpoint.tensors).items()
    )
    values = config_of(checkpoint)
    return replace(
        checkpoint,
        kind="transformers",
        files=(FileReport(_WEIGHTS, "safetensors", checkpoint.bytes, tensors),),
        config=JsonFile("config.json", dumps(values), values),
        weights=Weights((_WEIGHTS,), "safetensors"),
    )


_WEIGHTS = "model.safetensors"


def config_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """config.json of transformers where it is there, else bert_config.json as transformers would have it."""
    if isinstance(checkpoint.settings.get("model_type"), str):
        return checkpoint.settings
    document = checkpoint.json_files.get("bert_config.json")
    values = {**(document.mapping if document is not None else {}), "model_type": "bert"}
    return {**values, "architectures": [model_class(checkpoint)]}


def model_class(checkpoint: Checkpoint) -> str:
    """The class that the heads in the file call for."""
    names = set(translated_tensors(checkpoint.tensors))
    if "cls.predictions.bias" in names:
        return "BertForPreTraining"
    if "classifier.weight" in names:
        return "BertForSequenceClassification"
    return "BertForQuestionAnswering" if "qa_outputs.weight" in names else "BertModel"


_PROGRAM = """import json, os, re, sys
import numpy as np, tensorflow as tf
from safetensors.numpy import load_file, save_file

source, target = {source!r}, {target!r}
os.makedirs(target)  # a new place; an existing one is left alone
words = {words!r}
heads = {heads!r}
skipped = re.compile({skipped!r})
reader = tf.train.load_checkpoint(source)
tensors = {{}}
for name in sorted(reader.get_variable_to_shape_map()):
    if skipped.search(name):
        continue
    value, parts = reader.get_tensor(name), name.split("/")
    if value.dtype == object:
        continue
    for number, part in enumerate(parts):
        for pattern, new in words:
            part = re.sub("^" + pattern + ("$" if pattern.startswith("layer") else ""), new, part)
        parts[number] = part
    key = ".".join(parts)
    if name.endswith("/kernel"):
        value = value.T
    tensors[heads.get(key, key)] = np.ascontiguousarray(value)
save_file(tensors, os.path.join(target, "model.safetensors"), {{"format": "pt"}})
config = json.load(open({config!r}))
config.update({changes!r})
json.dump(config, open(os.path.join(target, "config.json"), "w"), indent=2)
vocabulary = {vocabulary!r}
if os.path.exists(vocabulary):
    open(os.path.join(target, "vocab.txt"), "wb").write(open(vocabulary, "rb").read())
back = load_file(os.path.join(target, "model.safetensors"))
assert back.keys() == tensors.keys(), "names differ"
for name, value in tensors.items():
    assert np.array_equal(back[name], value), name
print(len(tensors), "tensors written to", target, "and verified")
"""


def conversion(checkpoint: Checkpoint, target: str) -> str:
    """A program that writes the checkpoint as safetensors into a new directory and compares every tensor."""
    root = checkpoint.root.absolute()
    prefix = str(checkpoint.files[0].metadata.get("prefix", "bert_model.ckpt"))
    own = isinstance(checkpoint.settings.get("model_type"), str)
    changes = {} if own else {"model_type": "bert", "architectures": [model_class(checkpoint)]}
    return _PROGRAM.format(
        source=str(root / prefix), target=target, words=list(_WORDS), heads=_HEADS, skipped=_SKIPPED.pattern,
        config=str(root / ("config.json" if own else "bert_config.json")), changes=changes,
        vocabulary=str(root / "vocab.txt"),
    )  # fmt: skip
