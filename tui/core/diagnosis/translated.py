"""Weights of TensorFlow and Keras as a class of transformers would have them once they are converted.

transformers 5 reads neither. Where a file's names are known it is compared, and converted, under transformers' names;
where they are not, that is what is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport, JsonFile, Weights
from tui.core.diagnosis import bert_checkpoint, bert_conversion, bert_layouts, keras_weights
from tui.core.diagnosis.commands import convert, recover_config, target_of
from tui.core.json_text import dumps
from tui.core.record import Record, replace
from tui.core.tensors import Tensor
from tui.core.text import count_of, listing, printable

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.diagnosis.bert_layouts import Translation

WEIGHTS = "model.safetensors"
FORMATS = frozenset({"hdf5", "keras_zip", "tensor_bundle"})
FOREIGN = frozenset({
    "keras", "tensorflow_checkpoint", "tensorflow_saved_model", "tensorflow_hub_module", "tensorflow_graph",
})  # fmt: skip
"""Kinds whose weights no class of transformers 5 reads."""

_READ = frozenset({"keras", "tensorflow_checkpoint", "tensorflow_saved_model", "transformers"})
NOT_CONVERTED = (
    "NotConverted",
    "transformers 5 reads no weights of TensorFlow or Keras; this is the comparison as it is once they are converted, "
    "for which check has the command",
)


class Encoder(Record, frozen=True):
    """A BERT in a file of TensorFlow or Keras."""

    file: FileReport
    translation: Translation
    tensors: tuple[Tensor, ...]
    """Under transformers' names and in torch's shapes."""

    config: dict[str, Any] | None
    """As it stands beside the weights, else as their shapes tell it; `None` where they do not tell the heads."""

    from_weights: bool
    """Whether the config was made from the shapes."""


def encoder(checkpoint: Checkpoint) -> Encoder | None:
    """The BERT in a checkpoint of Keras or TensorFlow 2, `None` where there is none whose names are known."""
    if checkpoint.kind not in _READ or checkpoint.weights.files:
        return None
    file = _only_file(checkpoint)
    if file is None:
        return None
    found = bert_layouts.translate(file.tensors, _told(checkpoint, file), stored_names(checkpoint))
    if found is None or found.doubled:
        return None
    by_name = {tensor.name: tensor for tensor in file.tensors}
    tensors, shapes = [], {}
    for new, name in found.names.items():
        held = by_name[name]
        shapes[new] = bert_layouts.turned(new, held.shape)
        tensors.append(Tensor(new, held.dtype, shapes[new], held.nbytes, WEIGHTS))
    beside = _config_beside(checkpoint, shapes)
    query = found.names.get("bert.encoder.layer.0.attention.self.query.weight")
    made = bert_layouts.config_of(shapes, by_name[query].shape if query is not None else ())
    return Encoder(file, found, tuple(tensors), beside or made, beside is None and made is not None)


def stored_names(checkpoint: Checkpoint) -> dict[str, str]:
    """The variables' own names in a SavedModel of Keras, whose checkpoint only counts them: `variables/0`, …"""
    graphs = checkpoint.files[0].metadata.get("meta_graphs") if checkpoint.files else None
    held = graphs[0].get("stored") if isinstance(graphs, list) and graphs else None
    return held if isinstance(held, dict) else {}


def _only_file(checkpoint: Checkpoint) -> FileReport | None:
    held = [file for file in checkpoint.files if file.format in FORMATS and file.tensors and file.fatal is None]
    return held[0] if len(held) == 1 else None


def _told(checkpoint: Checkpoint, file: FileReport) -> str:
    """What the file, or the config beside it, calls the model."""
    said = (file.metadata.get("root_name"), file.metadata.get("model_class"), checkpoint.settings.get("class_name"))
    return " ".join(item for item in said if isinstance(item, str))


def _config_beside(checkpoint: Checkpoint, names: dict[str, Any]) -> dict[str, Any] | None:
    """config.json of transformers, or bert_config.json as transformers would have it."""
    if isinstance(checkpoint.settings.get("model_type"), str):
        return checkpoint.settings
    document = checkpoint.json_files.get("bert_config.json")
    if document is None or not document.mapping:
        return None
    return {**document.mapping, "model_type": "bert", "architectures": [bert_layouts.model_class(names)]}


def as_transformers(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint as it is once it is converted; one whose names are not known is given back as it is."""
    other = keras_weights.as_transformers(bert_checkpoint.as_transformers(checkpoint))
    if other is not checkpoint:
        return other
    found = encoder(checkpoint)
    if found is None:
        return checkpoint
    config = JsonFile("config.json", dumps(found.config), found.config) if found.config is not None else None
    return replace(
        checkpoint,
        kind="transformers",
        is_file=False,
        files=(FileReport(WEIGHTS, "safetensors", found.file.size, found.tensors),),
        config=config,
        weights=Weights((WEIGHTS,), "safetensors"),
    )


class Conversion(Record, frozen=True):
    """What weights of TensorFlow or Keras are, and how they become weights that transformers reads."""

    title: str
    program: str
    """Python that writes them as safetensors into a new directory and compares every array with what it wrote."""

    fix: tuple[str, ...]
    """The command that runs it; where no config is known, then the one that recovers it."""

    notes: tuple[str, ...] = ()


def conversion(checkpoint: Checkpoint, target: str | None = None) -> Conversion | None:
    """The conversion of a checkpoint whose names are known, else `None`; into `target`, or a directory beside it."""
    if not checkpoint.files:
        return None
    place = target if target is not None else target_of(checkpoint)
    file = keras_weights.tf_model(checkpoint)
    notes: tuple[str, ...] = ()
    if bert_checkpoint.as_transformers(checkpoint) is not checkpoint:
        title, whole = "a checkpoint of Google's BERT", True
        program = bert_checkpoint.conversion(checkpoint, place)
    elif file is not None:
        title, whole = "weights of one of transformers' TensorFlow classes", checkpoint.config is not None
        program = keras_weights.conversion(checkpoint, place)
    else:
        found = encoder(checkpoint)
        if found is None:
            return None
        title, whole, notes = found.translation.title, found.config is not None, _notes(found)
        program = bert_conversion.conversion(checkpoint, found, place, stored_names(checkpoint))
    then = () if whole else (recover_config(place),)
    return Conversion(title, program, (convert(checkpoint), *then), notes)


def not_compared(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What of a translated file has no name in transformers, in sentences."""
    found = encoder(checkpoint)
    return (f"read as {found.translation.title}", *_notes(found)) if found is not None else ()


def _notes(found: Encoder) -> tuple[str, ...]:
    """Where its config is from, and which arrays are left out."""
    lines = []
    if found.from_weights:
        lines.append("no config beside it: sizes and heads are its arrays', the activation its writer's default")
    left = found.translation.left
    if left:
        count = count_of(len(left), "array")
        lines.append(f"{count} not compared, without a name in transformers: {listing([*map(printable, left)], 6)}")
    return tuple(lines)


def unknown(checkpoint: Checkpoint) -> tuple[str, tuple[str, ...]] | None:
    """(why weights of TensorFlow or Keras cannot be compared, the names) where their names are not known."""
    if checkpoint.kind not in FOREIGN:
        return None
    names = [printable(tensor.name, 160) for file in checkpoint.files for tensor in file.tensors if tensor.role == ""]
    foreign = "transformers 5 reads no weights of TensorFlow or Keras"
    if not names:
        return f"{foreign}, and no weights of it could be read here", ()
    file = _only_file(checkpoint)
    stored = stored_names(checkpoint)
    found = bert_layouts.translate(file.tensors, _told(checkpoint, file), stored) if file is not None else None
    if found is not None and found.doubled:
        new, one, two = found.doubled[0]
        why = f"{printable(one, 160)} and {printable(two, 160)} would both be {new}: more than one encoder"
    else:
        why = f"the names of its {count_of(len(names), 'array')} are of no layout that is known here"
    words = f"{foreign}, and these cannot be compared: {why}. Whether a class would fit them is not known"
    return words, (f"not translated: {listing(names, 8)}",)
