"""What a model of TensorFlow expects to be called with, how to call it, and where a call differs from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.diagnosis.tensorflow_ops import missing, package_of
from tui.core.formats.tensorflow.messages import spec_text
from tui.core.record import Record, field
from tui.core.text import count_of, printable

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint

BERT_INPUTS = ("input_word_ids", "input_mask", "input_type_ids")
RENAMED = {
    "input_ids": "input_word_ids", "attention_mask": "input_mask", "token_type_ids": "input_type_ids",
    "segment_ids": "input_type_ids",
}  # fmt: skip
"""Names of Hugging Face and of TensorFlow 1's BERT, with those of the TensorFlow 2 encoders."""

_BATCH, _LENGTH = 1, 8
MAX_LINES = 400


class Expected(Record, frozen=True):
    """One way to call a model."""

    target: str
    """`call` for the loaded object itself, `signature` for one of its signatures."""

    signature: str = ""
    args: tuple[dict[str, Any], ...] = ()
    """Structures of the positional arguments, as the saved model's reader gives them."""

    kwargs: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    output: dict[str, Any] | None = None
    options: int = 1

    @property
    def first(self) -> dict[str, Any] | None:
        """The structure of the one argument that holds the inputs, `None` where they are keywords."""
        return self.args[0] if self.args else None


def main_graph(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The MetaGraph that the loaders take: the only one, or the one without tags of a TensorFlow 1 hub module."""
    graphs = saved_model(checkpoint).get("meta_graphs")
    if not isinstance(graphs, list) or not graphs:
        return None
    plain = [graph for graph in graphs if not graph.get("tags")]
    chosen: dict[str, Any] = plain[0] if plain and len(graphs) > 1 else graphs[0]
    return chosen


def saved_model(checkpoint: Checkpoint) -> dict[str, Any]:
    """The metadata of its `saved_model.pb`, empty where there is none."""
    file = checkpoint.by_name.get("saved_model.pb")
    return file.metadata if file is not None else {}


def expected(checkpoint: Checkpoint) -> Expected | None:
    """How the model is called: the object itself where it can be, else through its best signature."""
    graph = main_graph(checkpoint)
    if graph is None:
        return None
    call = graph.get("call")
    if call:
        option = min(call["options"], key=_strangeness)
        args = option["args"]
        while args and _plain(args[-1]) and args[-1]["value"] in (None, False):
            args = args[:-1]
        kwargs = {key: item for key, item in option["kwargs"].items() if not (_plain(item) and not item["value"])}
        return Expected(
            "call", "", tuple(args), kwargs, tuple(call["arguments"]), option["output"], len(call["options"])
        )
    return signature_of(graph)


def signature_of(graph: dict[str, Any]) -> Expected | None:
    """The signature that a model without a call is used through."""
    signatures = graph.get("signatures") or {}
    usable = {name: item for name, item in signatures.items() if item["inputs"]} or signatures
    if not usable:
        return None
    name = next((name for name in ("serving_default", "default", "tokens") if name in usable), next(iter(usable)))
    inputs = {key: {"spec": "tensor", "name": key, **_typed(item)} for key, item in usable[name]["inputs"].items()}
    outputs = {key: {"spec": "tensor", "name": key, **_typed(item)} for key, item in usable[name]["outputs"].items()}
    return Expected("signature", name, (), inputs, (), {"spec": "dict", "items": outputs})


def _typed(item: dict[str, Any]) -> dict[str, Any]:
    return {"dtype": item["dtype"], "shape": item["shape"]}


def _plain(item: dict[str, Any]) -> bool:
    return item.get("spec") == "value"


def _strangeness(option: dict[str, Any]) -> tuple[int, int]:
    """Options whose flags are off, and that have few arguments, come first."""
    flags = [item["value"] for item in [*option["args"], *option["kwargs"].values()] if _plain(item)]
    return (sum(1 for flag in flags if flag not in (None, False)), len(option["args"]))


def plan(way: Expected) -> dict[str, Any]:
    """The call as the worker makes it."""
    return {"target": way.target, "signature": way.signature, "args": list(way.args), "kwargs": way.kwargs}


# as a tree


def tree(node: dict[str, Any] | None, label: str = "inputs") -> list[str]:
    """A structure as indented lines: `dict`, then `input_mask: int32[?,?]` below it."""
    lines: list[str] = []
    stack: list[tuple[str, Any, int]] = [(label, node, 0)]
    while stack and len(lines) < MAX_LINES:
        name, item, depth = stack.pop()
        items = item.get("items") if isinstance(item, dict) else None
        lines.append(f"{'  ' * min(depth, 40)}{printable(name, 120)}: {printable(words_of(item), 160)}")
        pairs: list[tuple[str, Any]] = []
        if isinstance(items, dict):
            pairs = list(items.items())
        elif isinstance(items, list):
            pairs = [(str(index), value) for index, value in enumerate(items)]
        stack += [(key, value, depth + 1) for key, value in reversed(pairs)]
    return lines


def words_of(node: Any) -> str:
    """One node of a structure in words."""
    if not isinstance(node, dict):
        return "nothing"
    match node.get("spec"):
        case "tensor":
            return spec_text(node["dtype"], node["shape"])
        case "list" | "tuple":
            return f"{node['spec']} of {len(node['items'])}"
        case "dict" | "namedtuple":
            return str(node["spec"])
        case "value":
            return repr(node["value"])
        case _:
            return str(node.get("type", "unknown"))


def input_lines(way: Expected) -> list[str]:
    """The inputs of one way to call, as a tree."""
    head = "model(…)" if way.target == "call" else f'model.signatures["{printable(way.signature, 80)}"](…)'
    lines = [head]
    for index, item in enumerate(way.args):
        name = way.names[index] if index < len(way.names) else f"argument {index}"
        lines += [f"  {line}" for line in tree(item, name)]
    for key, item in way.kwargs.items():
        lines += [f"  {line}" for line in tree(item, key)]
    return lines[:MAX_LINES]


def description(checkpoint: Checkpoint) -> list[str]:
    """What the model expects, and a program that calls it, as lines; empty where it is no SavedModel with a call."""
    way = expected(checkpoint)
    if way is None:
        return []
    program = [printable(line, 400) for line in snippet(checkpoint).split("\n")]
    return ["expects", *(f"  {line}" for line in input_lines(way)), "a call", *(f"  {line}" for line in program)]


# as code


def code_of(node: dict[str, Any], indent: str = "") -> str:
    """A Python expression that makes a fitting value; structures beyond a few levels are not written out."""
    inner = indent + "    "
    items = node.get("items")
    if node["spec"] == "tensor":
        return _tensor_code(node)
    if isinstance(items, dict) and node["spec"] == "dict" and len(indent) < 32:
        rows = "".join(f"{inner}{key!r}: {code_of(item, inner)},\n" for key, item in items.items())
        return f"{{\n{rows}{indent}}}"
    if isinstance(items, list) and len(indent) < 32:
        marks = ("[", "]") if node["spec"] == "list" else ("(", ")")
        rows = "".join(f"{inner}{code_of(item, inner)},\n" for item in items)
        return f"{marks[0]}\n{rows}{indent}{marks[1]}"
    return repr(node.get("value"))


def shape_of(sizes: list[int | None] | None) -> list[int]:
    """A shape that fits: one example of eight positions."""
    wanted = sizes if sizes is not None else [None]
    return [size if size is not None else _BATCH if index == 0 else _LENGTH for index, size in enumerate(wanted)]


def _tensor_code(node: dict[str, Any]) -> str:
    shape, dtype = shape_of(node["shape"]), node["dtype"].removesuffix("_ref")
    if dtype == "string":
        return 'tf.constant(["a sentence"])' if shape == [1] else f'tf.fill({shape}, "a sentence")'
    if dtype == "bool":
        return f"tf.ones({shape}, tf.bool)"
    return f"tf.ones({shape}, tf.{dtype})"


def snippet(checkpoint: Checkpoint) -> str:
    """A program that loads this very model and calls it once, with what its ops need; empty where it has no call."""
    way, graph = expected(checkpoint), main_graph(checkpoint)
    if way is None or graph is None:
        return ""
    lines = ["import tensorflow as tf", "import tensorflow_hub as hub"]
    text_ops = [op for op in missing(graph.get("ops", [])) if package_of(op) == "tensorflow-text"]
    if text_ops:
        lines.append(
            f"import tensorflow_text  # registers {', '.join(text_ops[:3])}{', …' if len(text_ops) > 3 else ''}"
        )
    lines += ["", f"model = hub.load({str(checkpoint.root.absolute())!r})"]
    arguments = [code_of(item) for item in way.args]
    arguments += [f"{key}={code_of(item)}" for key, item in way.kwargs.items() if key.isidentifier()]
    others = {key: item for key, item in way.kwargs.items() if not key.isidentifier()}
    if others:
        arguments.append("**" + code_of({"spec": "dict", "items": others}))
    called = "model" if way.target == "call" else f"model.signatures[{way.signature!r}]"
    lines += [f"outputs = {called}({', '.join(arguments)})", *_result(way), *_from_text(way)]
    return "\n".join(lines)


def _result(way: Expected) -> list[str]:
    """How to look at what came back."""
    out = way.output or {}
    names = out.get("items")
    if isinstance(names, dict) and names:
        first = "pooled_output" if "pooled_output" in names else next(iter(names))
        return [f"print(outputs[{first!r}].shape)"]
    return ["print(tf.nest.map_structure(lambda item: item.shape, outputs))"]


def _from_text(way: Expected) -> list[str]:
    """For an encoder of ids: the preprocessing model that makes them from text."""
    if not is_encoder(way):
        return []
    call = "model(ids)"
    if way.first is not None and way.first["spec"] in ("list", "tuple"):
        call = 'model([ids["input_word_ids"], ids["input_mask"], ids["input_type_ids"]])'
    return [
        "",
        "# from text, with the preprocessing model of the same vocabulary (it needs: import tensorflow_text):",
        '# ids = hub.load("https://tfhub.dev/tensorflow/bert_en_uncased_preprocess/3")(tf.constant(["a sentence"]))',
        f"# outputs = {call}",
    ]


def is_encoder(way: Expected) -> bool:
    """Whether the model takes BERT's ids: three int32 matrices, by name or in a list."""
    first = way.first
    if first is None:
        return False
    items = first.get("items")
    if isinstance(items, dict):
        return set(BERT_INPUTS) <= set(items)
    return (
        isinstance(items, list)
        and len(items) == 3
        and all(item.get("dtype") == "int32" and len(item.get("shape") or []) == 2 for item in items)
    )


def takes_text(way: Expected) -> bool:
    """Whether its input is a vector of strings."""
    first = way.first
    return first is not None and first.get("spec") == "tensor" and first.get("dtype") == "string"


# a user's call against it


class Mismatch(Record, frozen=True):
    """One way in which a call does not fit, with the rule that explains it and what to write instead."""

    rule: str
    words: str
    fix: str


def check_call(way: Expected, given: Any) -> list[Mismatch]:
    """Why a call fails. `given` describes it: dicts and lists of `"dtype[sizes]"`, `int32[2,8]`, `string[1]`, `string`.

    A bare `string` is a Python text, `string[]` a scalar tensor; `?` stands for any size.
    """
    want = way.first
    if want is None:
        want = {"spec": "dict", "items": way.kwargs}
    items = want.get("items")
    if want["spec"] == "tensor":
        return _against_tensor(want, given)
    if isinstance(items, dict):
        return _against_dict(items, given)
    if isinstance(items, list):
        return _against_list(items, given)
    return []


def _against_tensor(want: dict[str, Any], given: Any) -> list[Mismatch]:
    if isinstance(given, dict | list):
        kind = "dict" if isinstance(given, dict) else "list"
        words = f"the model takes one {words_of(want)}, the call gives a {kind}"
        return [Mismatch("tfhub-text-structure", words, f"model({_tensor_code(want)})")]
    return _leaf(want, str(given), "the input")


def _is_text(given: Any) -> bool:
    return isinstance(given, str) and given.startswith("string")


def _against_dict(want: dict[str, Any], given: Any) -> list[Mismatch]:
    keys = ", ".join(want)
    text = _is_text(given) or (isinstance(given, dict) and any(_is_text(item) for item in given.values()))
    text = text or (isinstance(given, list) and len(given) > 0 and all(_is_text(item) for item in given))
    if text and not any(item.get("dtype") == "string" for item in want.values()):
        words = f"the model takes ids ({keys}), the call gives raw text: the preprocessing model is left out"
        fix = 'ids = hub.load(".../bert_en_uncased_preprocess/3")(tf.constant(["a sentence"])); model(ids)'
        return [Mismatch("tfhub-text-input", words, fix)]
    if not isinstance(given, dict):
        kind = "a list" if isinstance(given, list) else "one tensor"
        fix = "model({" + ", ".join(f'"{key}": …' for key in want) + "})"
        return [Mismatch("tfhub-signature", f"the model takes a dict of {keys}, the call gives {kind}", fix)]
    missing_keys = [key for key in want if key not in given]
    extra = [key for key in given if key not in want]
    if missing_keys or extra:
        return [_names(want, missing_keys, extra)]
    return [fault for key, item in want.items() for fault in _leaf(item, str(given[key]), key)]


def _names(want: dict[str, Any], absent: list[str], extra: list[str]) -> Mismatch:
    renamed = {key: RENAMED[key] for key in extra if RENAMED.get(key) in want}
    if not renamed:
        back = {new: old for old, new in RENAMED.items() if old in want}
        renamed = {key: back[key] for key in extra if key in back}
    unknown = ", ".join(printable(key, 80) for key in extra)
    said = (f"missing {', '.join(absent)}" if absent else "", f"not known {unknown}" if extra else "")
    words = "; ".join(filter(None, said))
    fix = "; ".join(f"{old} → {new}" for old, new in renamed.items()) or f"the names are {', '.join(want)}"
    return Mismatch("tfhub-input-names", f"the names of the inputs differ: {words}", fix)


def _against_list(want: list[dict[str, Any]], given: Any) -> list[Mismatch]:
    if isinstance(given, dict):
        words = (
            f"the model takes a list of {len(want)}, the call gives a dict: it is of the older version of its handle"
        )
        return [Mismatch("tfhub-signature", words, "model([input_word_ids, input_mask, input_type_ids])")]
    if not isinstance(given, list):
        rule = "tfhub-text-input" if _is_text(given) else "tfhub-signature"
        return [
            Mismatch(
                rule, f"the model takes a list of {len(want)}, the call gives {given}", "model([ids, mask, types])"
            )
        ]
    if len(given) != len(want):
        if given and all(_is_text(item) for item in given) and want[0].get("dtype") != "string":
            return [Mismatch("tfhub-text-input", "the model takes ids, the call gives raw text", "preprocess first")]
        words = f"the model takes {len(want)} tensors, the call gives {len(given)}"
        return [Mismatch("tfhub-signature", words, "model([input_word_ids, input_mask, input_type_ids])")]
    return [fault for index, item in enumerate(want) for fault in _leaf(item, str(given[index]), f"input {index}")]


def _leaf(want: dict[str, Any], given: str, name: str) -> list[Mismatch]:
    """One tensor: dtype, then rank, then the sizes that are fixed."""
    dtype, _, rest = given.partition("[")
    sizes = [part.strip() for part in rest.rstrip("]").split(",") if part.strip()] if "[" in given else None
    if want.get("dtype") and dtype != want["dtype"].removesuffix("_ref"):
        rule = "tfhub-text-input" if dtype == "string" else "tfhub-input-dtype"
        words = f"{printable(name, 80)} is {printable(dtype, 40)}, the model wants {words_of(want)}"
        return [Mismatch(rule, words, f"tf.cast(value, tf.{want['dtype']})")]
    shape = want.get("shape")
    if shape is None or (sizes is None and dtype != "string"):
        return []
    if len(sizes or []) != len(shape):
        words = f"{printable(name, 80)} has {count_of(len(sizes or []), 'dimension')}, the model wants {words_of(want)}"
        fix = "tf.expand_dims(value, 0)" if len(sizes or []) == len(shape) - 1 else f"a value of {words_of(want)}"
        if dtype == "string" and not sizes:
            return [Mismatch("tfhub-text-structure", words, 'tf.constant(["a sentence"])')]
        return [Mismatch("tfhub-input-dtype", words, fix)]
    wrong = [
        index for index, (have, size) in enumerate(zip(sizes or [], shape, strict=True))
        if size is not None and have != "?" and have != str(size)
    ]  # fmt: skip
    if wrong:
        words = f"{printable(name, 80)} is {given}, the model wants {words_of(want)}"
        return [Mismatch("tfhub-input-dtype", words, f"a value of {words_of(want)}")]
    return []
