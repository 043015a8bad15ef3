"""BERT as TensorFlow 2 and Keras store it: each layout's names under those of transformers.

Seen in what these write: TensorFlow Model Garden 2.20 (`official/nlp/modeling/networks/bert_encoder.py`), KerasHub 0.32
(`models/bert/bert_backbone.py`) and the TensorFlow classes of transformers 4.57 (`modeling_tf_bert.py`). The names
agree with transformers' own converters of 4.57 (`convert_bert_original_tf2_checkpoint_to_pytorch.py`,
`convert_bert_token_dropping_original_tf2_checkpoint_to_pytorch.py`) and with KerasHub's (`convert_bert.py`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.core.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tui.core.tensors import Tensor

MAX_TENSORS = 3_000
"""BERT-large has 400, and its optimizer's are not counted; a file with more than this is no BERT."""

MAX_NAME = 256
MAX_LAYERS = 1_000
LEAF = r"/(?P<leaf>kernel|gamma|embeddings|bias|beta|vars/[01])"
WEIGHTS = ("kernel", "gamma", "embeddings", "vars/0")
"""The leaves that torch calls weight; the others are biases. Keras 3 counts a layer's variables: kernel, then bias."""

ENDINGS = ("/.ATTRIBUTES/VARIABLE_VALUE", ":0")
"""What object-based checkpoints and Keras 2 put behind a variable's name."""

_LAYER = tuple(
    f"bert.encoder.layer.{{n}}.{part}"
    for part in (
        "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
        "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm",
    )
)  # fmt: skip
_WORDS = "bert.embeddings.word_embeddings"
_POSITIONS = "bert.embeddings.position_embeddings"
_TYPES = "bert.embeddings.token_type_embeddings"
_NORM = "bert.embeddings.LayerNorm"
_POOLER = "bert.pooler.dense"


class Layout(Record, frozen=True):
    """One way in which BERT's variables are named. Paths are patterns that match the end of a name."""

    title: str
    layer: str
    """Path of one encoder layer, its number as the group `n` (absent means 0)."""

    parts: tuple[str, ...]
    """Below it, in the order of `_LAYER`: query, key, value, attention's output and norm, the two dense, their norm."""

    others: tuple[tuple[str, str], ...]
    """(path, name in transformers); a name that ends with `.weight` or `.bias` is one variable's, else a layer's."""

    first: int = 0
    """The number of the first encoder layer."""

    titled: bool = False
    """Whether other families store the same names, so that something in the file must say that it is BERT."""


_GARDEN_PARTS = (
    "_attention_layer/_query_dense", "_attention_layer/_key_dense", "_attention_layer/_value_dense",
    "(?:_attention_layer/_output_dense|_attention_output_dense)", "_attention_layer_norm(?:_kv)?",
    "_intermediate_dense", "_output_dense", "_output_layer_norm",
)  # fmt: skip
_GARDEN_HEADS = (
    (r"masked_lm/embedding_table", f"{_WORDS}.weight"),
    (r"masked_lm/dense", "cls.predictions.transform.dense"),
    (r"masked_lm/layer_norm", "cls.predictions.transform.LayerNorm"),
    (r"masked_lm/output_bias\.Sbias", "cls.predictions.bias"),
    (r"layer_with_weights-1/out_proj", "classifier"),
)
_SELF = ("attention/self_attention/query", "attention/self_attention/key", "attention/self_attention/value")
_HF_PARTS = (
    *_SELF, "attention/dense_output/dense", "attention/dense_output/LayerNorm", "intermediate/dense",
    "bert_output/dense", "bert_output/LayerNorm",
)  # fmt: skip

LAYOUTS = (
    Layout(
        "an object-based checkpoint of TensorFlow Model Garden's BertEncoder",
        r"layer_with_weights-(?P<n>\d+)", _GARDEN_PARTS,
        (
            (r"layer_with_weights-0/embeddings", f"{_WORDS}.weight"),
            (r"layer_with_weights-1/embeddings", f"{_POSITIONS}.weight"),
            (r"layer_with_weights-2/embeddings", f"{_TYPES}.weight"), (r"layer_with_weights-3", _NORM),
            (r"layer_with_weights-{pooler}", _POOLER), *_GARDEN_HEADS,
        ), first=4,
    ),
    Layout(
        "an object-based checkpoint of TensorFlow Model Garden's BertEncoderV2",
        r"_transformer_layers/(?P<n>\d+)", _GARDEN_PARTS,
        (
            (r"_embedding_layer/embeddings", f"{_WORDS}.weight"),
            (r"_position_embedding_layer/embeddings", f"{_POSITIONS}.weight"),
            (r"_type_embedding_layer/embeddings", f"{_TYPES}.weight"), (r"_embedding_norm_layer", _NORM),
            (r"_pooler_layer", _POOLER), *_GARDEN_HEADS,
        ),
    ),
    Layout(
        "TensorFlow Model Garden's BertEncoder under the variables' names of Keras 2",
        r"transformer/layer_(?P<n>\d+)",
        (
            "self_attention/query", "self_attention/key", "self_attention/value", "self_attention/attention_output",
            "self_attention_layer_norm", "intermediate", "output", "output_layer_norm",
        ),
        (
            (r"word_embeddings", _WORDS), (r"position_embedding", _POSITIONS), (r"type_embeddings", _TYPES),
            (r"embeddings/layer_norm", _NORM), (r"pooler_transform", _POOLER),
        ),
    ),
    Layout(
        "TensorFlow Model Garden's BertEncoder as Keras 3 names variables",
        r"transformer_layers/transformer_encoder_block(?:_(?P<n>\d+))?", _GARDEN_PARTS,
        (
            (r"layers/on_device_embedding", _WORDS), (r"layers/position_embedding", _POSITIONS),
            (r"layers/on_device_embedding_1", _TYPES), (r"layers/layer_normalization", _NORM),
            (r"pooler_layer", _POOLER),
        ),
    ),
    Layout(
        "KerasHub's BERT",
        r"layers/transformer_encoder(?:_(?P<n>\d+))?",
        (
            "_self_attention_layer/query_dense", "_self_attention_layer/key_dense",
            "_self_attention_layer/value_dense", "_self_attention_layer/output_dense", "_self_attention_layer_norm",
            "_feedforward_intermediate_dense", "_feedforward_output_dense", "_feedforward_layer_norm",
        ),
        (
            (r"^{prefix}layers/reversible_embedding", _WORDS), (r"^{prefix}layers/position_embedding", _POSITIONS),
            (r"^{prefix}layers/embedding", _TYPES), (r"^{prefix}layers/layer_normalization", _NORM),
            (r"^{prefix}layers/dense", _POOLER),
            (r"^layers/masked_lm_head/_intermediate_dense", "cls.predictions.transform.dense"),
            (r"^layers/masked_lm_head/_intermediate_layer_norm", "cls.predictions.transform.LayerNorm"),
            (r"^layers/masked_lm_head/vars/0", "cls.predictions.bias"),
        ), titled=True,
    ),
    Layout(
        "an object-based checkpoint of transformers' TensorFlow BERT",
        r"bert/encoder/layer/(?P<n>\d+)", _HF_PARTS,
        (
            (r"bert/embeddings/weight", f"{_WORDS}.weight"), (r"bert/embeddings/embeddings", f"{_POSITIONS}.weight"),
            (r"bert/embeddings/token_type_embeddings", f"{_TYPES}.weight"), (r"bert/embeddings/LayerNorm", _NORM),
            (r"bert/pooler/dense", _POOLER), (r"classifier", "classifier"), (r"qa_outputs", "qa_outputs"),
        ),
    ),
    Layout(
        "transformers' TensorFlow BERT as Keras 3 names variables",
        r"tf_bert_main_layer/encoder/layer/tf_bert_layer(?:_(?P<n>\d+))?", _HF_PARTS,
        (
            (r"tf_bert_main_layer/embeddings/vars/0", f"{_WORDS}.weight"),
            (r"tf_bert_main_layer/embeddings/vars/1", f"{_TYPES}.weight"),
            (r"tf_bert_main_layer/embeddings/vars/2", f"{_POSITIONS}.weight"),
            (r"tf_bert_main_layer/embeddings/LayerNorm", _NORM), (r"tf_bert_main_layer/pooler/dense", _POOLER),
        ),
    ),
)  # fmt: skip
"""Tried in this order; their encoder layers have no name in common."""

_NEXT_SENTENCE = r"next_sentence\.\.pooler_dense"
"""The pooler that pre-training trains beside the encoder's own: Model Garden's checkpoints hold both."""


class Translation(Record, frozen=True):
    """What of a file has a name in transformers, and what has none."""

    title: str
    rules: tuple[tuple[str, str], ...]
    """(pattern of a name without its ending, name in transformers with `{n}` for the layer's number)."""

    first: int
    names: dict[str, str]
    """The file's name by transformers'."""

    left: tuple[str, ...] = ()
    """Names that have no translation, those of optimizers aside."""

    doubled: tuple[tuple[str, str, str], ...] = ()
    """(name in transformers, two names of the file that would both be it)."""


def translate(tensors: Iterable[Tensor], told: str = "", stored: dict[str, str] | None = None) -> Translation | None:
    """The translation of a file's names, `None` where they are of no layout; `told` is what the file calls its model.

    `stored` has the variables' own names where the file only counts them. Names of two encoders side by side are
    translated to `doubled`.
    """
    held = [tensor.name for tensor in tensors if tensor.role == ""]
    if len(held) > MAX_TENSORS:
        return None
    own = stored or {}
    plain = {name: _own_name(without_ending(name), own) for name in held if len(name) <= MAX_NAME}
    for layout in LAYOUTS:
        found = _of_layout(layout, plain, told)
        if found is not None:
            return found
    return None


def without_ending(name: str) -> str:
    """A variable's path, without what the format puts behind it."""
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


def _own_name(path: str, stored: dict[str, str]) -> str:
    name = stored.get(path, path)
    return without_ending(name) if len(name) <= MAX_NAME else path


def _of_layout(layout: Layout, plain: dict[str, str], told: str) -> Translation | None:
    """The translation by one layout, where its encoder layers are there."""
    marker = re.compile(f"(?P<prefix>(?:.*/)?){layout.layer}/{layout.parts[0]}{LEAF}")
    likely = (path for path in plain.values() if "query" in path)
    found = [match for path in likely if (match := marker.fullmatch(path)) is not None]
    numbers = {layer_number(match) for match in found}
    if not found or min(numbers) != layout.first or max(numbers) >= MAX_LAYERS:
        return None
    prefix = found[0]["prefix"]
    known = f"{told}/{prefix}".lower()
    if layout.titled and ("bert" not in known or "electra" in known):
        return None
    rules = tuple(_rules(layout, prefix, max(numbers) + 1, list(plain.values())))
    return _translated(layout, rules, plain)


def layer_number(match: re.Match[str]) -> int:
    """The number of the layer in a name; the first has none where Keras counts."""
    digits = match["n"]
    return int(digits) if digits and len(digits) < 6 else 0 if not digits else MAX_LAYERS


def _rules(layout: Layout, prefix: str, pooler: int, paths: list[str]) -> Iterator[tuple[str, str]]:
    """The layout's patterns for this very file."""
    for part, target in zip(layout.parts, _LAYER, strict=True):
        yield f"{layout.layer}/{part}", target
    trained = any(re.search(f"(?:^|/){_NEXT_SENTENCE}/", path) for path in paths)
    for path, target in layout.others:
        if trained and target == _POOLER:
            yield _NEXT_SENTENCE, _POOLER
        else:
            yield path.replace("{prefix}", re.escape(prefix)).replace("{pooler}", str(pooler)), target
    if layout.titled and prefix:
        yield "^layers/dense", "classifier"


def complete(pattern: str, target: str) -> re.Pattern[str]:
    """A rule as it is searched in a name without its ending."""
    whole = target.endswith((".weight", ".bias"))
    return re.compile(f"(?:^|/){pattern}{'' if whole else LEAF}\\Z")


def _translated(layout: Layout, rules: tuple[tuple[str, str], ...], plain: dict[str, str]) -> Translation:
    patterns = [(complete(pattern, target), target) for pattern, target in rules]
    names: dict[str, str] = {}
    left: list[str] = []
    doubled: list[tuple[str, str, str]] = []
    for name, path in plain.items():
        new = _new_name(path, patterns, layout.first)
        if new is None:
            left.append(name)
        elif new in names:
            doubled.append((new, names[new], name))
        else:
            names[new] = name
    return Translation(layout.title, rules, layout.first, names, tuple(left), tuple(doubled))


def _new_name(path: str, patterns: list[tuple[re.Pattern[str], str]], first: int) -> str | None:
    """The name in transformers, `None` where no rule has one."""
    for pattern, target in patterns:
        match = pattern.search(path)
        if match is None:
            continue
        new = target
        if "{n}" in target:
            new = target.replace("{n}", str(layer_number(match) - first))
        if target.endswith((".weight", ".bias")):
            return new
        return f"{new}.{'weight' if match['leaf'] in WEIGHTS else 'bias'}"
    return None


def turned(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Torch's shape of an array: kernels transposed, attention's heads folded into one axis."""
    if name.endswith(".bias"):
        return (_product(shape),) if len(shape) > 1 else shape
    if "embeddings" in name or "LayerNorm" in name or len(shape) < 2:
        return shape
    if name.endswith("attention.output.dense.weight"):
        return (shape[-1], _product(shape[:-1]))
    return (_product(shape[1:]), shape[0])


def _product(shape: tuple[int, ...]) -> int:
    out = 1
    for size in shape:
        out *= size
    return out


def config_of(shapes: dict[str, tuple[int, ...]], query: tuple[int, ...]) -> dict[str, object] | None:
    """transformers' config of a BERT with these shapes; `query` is the first layer's kernel as the file has it.

    `None` where the file does not tell the number of heads, or is no whole encoder. The activation is the one that
    both writers build by default: GELU by its tanh approximation.
    """
    wanted = {
        "vocab_size": (f"{_WORDS}.weight", 0), "hidden_size": (f"{_WORDS}.weight", 1),
        "intermediate_size": ("bert.encoder.layer.0.intermediate.dense.weight", 0),
        "max_position_embeddings": (f"{_POSITIONS}.weight", 0), "type_vocab_size": (f"{_TYPES}.weight", 0),
    }  # fmt: skip
    if len(query) != 3 or any(len(shapes.get(name, ())) != 2 for name, _ in wanted.values()):
        return None
    layers = {int(name.split(".")[3]) for name in shapes if name.startswith("bert.encoder.layer.")}
    config: dict[str, object] = {"model_type": "bert", "architectures": [model_class(shapes)]}
    config.update((key, shapes[name][axis]) for key, (name, axis) in wanted.items())
    classes = shapes.get("classifier.bias")
    if classes:
        config["id2label"] = {str(number): f"LABEL_{number}" for number in range(min(classes[0], 10_000))}
    return {
        **config, "num_hidden_layers": max(layers) + 1, "num_attention_heads": query[1],
        "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-12,
    }  # fmt: skip


def model_class(names: Iterable[str]) -> str:
    """The class that the heads among transformers' names call for."""
    held = set(names)
    if "cls.predictions.bias" in held:
        return "BertForMaskedLM"
    if "classifier.bias" in held:
        return "BertForSequenceClassification"
    return "BertForQuestionAnswering" if "qa_outputs.bias" in held else "BertModel"
