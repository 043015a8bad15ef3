"""The program that writes a BERT of TensorFlow 2 or Keras as safetensors anew, every array compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.diagnosis import bert_layouts

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.diagnosis.translated import Encoder

_READ_HDF5 = """import h5py
file, names = h5py.File(source), []
file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
read = lambda name: file[name][()]
"""
_READ_ARCHIVE = _READ_HDF5.replace(
    "import h5py\nfile, names = h5py.File(source), []",
    "import h5py, io, zipfile\n"
    "file, names = h5py.File(io.BytesIO(zipfile.ZipFile(source).read('model.weights.h5'))), []",
)
_READ_BUNDLE = """import tensorflow as tf
reader = tf.train.load_checkpoint(source)
names, read = list(reader.get_variable_to_shape_map()), reader.get_tensor
"""
_PROGRAM = """import json, os, re, shutil
import numpy as np
from safetensors.numpy import load_file, save_file

source, target = {source!r}, {target!r}
{read}
rules, stored = {rules!r}, {stored!r}
plain = lambda name: name{endings}
tensors, done = {{}}, {{}}
for name in names:
    path = plain(name)
    path = plain(stored.get(path, path))
    for pattern, new in rules:
        whole = new.endswith((".weight", ".bias"))
        match = re.search("(?:^|/)" + pattern + ("" if whole else {leaf!r}) + "$", path)
        if match:
            break
    else:
        continue
    if not whole:
        new += ".weight" if match["leaf"] in {weights!r} else ".bias"
    if "{{n}}" in new:
        new = new.replace("{{n}}", str(int(match["n"] or 0) - {first}))
    value = read(name)
    if new.endswith(".bias"):
        value = value.reshape(-1)
    elif new.endswith("attention.output.dense.weight"):
        value = value.reshape(-1, value.shape[-1]).T
    elif "embeddings" not in new and "LayerNorm" not in new:
        value = value.reshape(value.shape[0], -1).T
    assert new not in tensors, (name, done[new])
    tensors[new], done[new] = np.ascontiguousarray(value), name
os.makedirs(target)  # a new place; an existing one is left alone
save_file(tensors, os.path.join(target, "model.safetensors"), {{"format": "pt"}})
config = {config}
if config:
    json.dump(config, open(os.path.join(target, "config.json"), "w"), indent=2)
vocabulary = {vocabulary!r}
if os.path.exists(vocabulary):
    shutil.copy(vocabulary, target)
back = load_file(os.path.join(target, "model.safetensors"))
assert back.keys() == tensors.keys() and len(back) == {count}, "names differ"
for name, value in tensors.items():
    assert back[name].dtype == value.dtype and np.array_equal(back[name], value), name
print(len(tensors), "tensors written to", target, "and verified")
"""


def conversion(checkpoint: Checkpoint, found: Encoder, target: str, stored: dict[str, str]) -> str:
    """The program; the config that it writes is the one beside the weights, or the one that their shapes tell."""
    root, file = checkpoint.root.absolute(), found.file
    prefix = str(file.metadata.get("prefix", "")) if file.format == "tensor_bundle" else ""
    read = {"hdf5": _READ_HDF5, "keras_zip": _READ_ARCHIVE, "tensor_bundle": _READ_BUNDLE}[file.format]
    return _PROGRAM.format(
        source=str(root / (prefix or file.name)), target=target, read=read.rstrip(),
        rules=list(found.translation.rules), stored=stored,
        endings="".join(f".removesuffix({ending!r})" for ending in bert_layouts.ENDINGS), leaf=bert_layouts.LEAF,
        weights=bert_layouts.WEIGHTS, first=found.translation.first, config=repr(found.config),
        vocabulary=str(root / ("assets/vocab.txt" if stored else "vocab.txt")), count=len(found.tensors),
    )  # fmt: skip
