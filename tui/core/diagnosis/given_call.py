"""A call as the user describes it: read from text, and made into the structures that a model's inputs are told in.

`{"input_ids": "int64[2,128]"}`, `["int32[1,8]", "int32[1,8]"]`, `string[1]`: dicts and lists whose leaves are a dtype
and sizes (`?` for any). A leaf that is no dtype is a Python text, as is a bare `string`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tui.core.diagnosis.tensorflow_calls import shape_of
from tui.core.json_text import dumps, parse
from tui.core.text import printable

if TYPE_CHECKING:
    from tui.core.diagnosis.tensorflow_calls import Expected

_DTYPES = frozenset({
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32",
    "float64", "complex64", "complex128", "string",
})  # fmt: skip
_LEAF = re.compile(r"^(?P<dtype>[a-z]+\d*)(?:\[(?P<sizes>[0-9?, ]*)\])?$")
MAX_DEPTH = 6
MAX_ITEMS = 200
EXAMPLE = '{"input_word_ids": "int32[1,8]", …}, ["int32[1,8]", …] or string[1]'


def read(text: str) -> Any:
    """Dicts, lists and leaves from JSON, a single leaf also without quotes; `ValueError` says what is wrong."""
    stripped = text.strip()
    if not stripped:
        raise ValueError(f"describe the call: {EXAMPLE}")
    if stripped[0] not in '{["':
        return _leaf(stripped)
    document = parse(stripped.encode("utf-8", "replace"))
    if document.error is not None:
        raise ValueError(f"it is no JSON: {document.error.message}; write {EXAMPLE}")
    return _structure(document.value, 0, [MAX_ITEMS])


def _structure(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if depth > MAX_DEPTH or left[0] < 0:
        raise ValueError(f"a call of more than {MAX_DEPTH} levels or {MAX_ITEMS} parts is not made")
    if isinstance(value, dict):
        return {str(key): _structure(item, depth + 1, left) for key, item in value.items()}
    if isinstance(value, list):
        return [_structure(item, depth + 1, left) for item in value]
    if isinstance(value, str):
        return _leaf(value)
    raise ValueError(f"{printable(str(value), 40)} is a value; write its dtype and sizes, as in int32[1,8]")


def _leaf(text: str) -> str:
    match = _LEAF.match(text)
    if match is None or match["dtype"] not in _DTYPES:
        if "[" in text:
            raise ValueError(f"{printable(text, 40)} is no dtype with sizes; known are {', '.join(sorted(_DTYPES))}")
        return "string"
    if match["sizes"] is None and match["dtype"] != "string":
        raise ValueError(f"{text} has no sizes; write {text}[] for a scalar, {text}[1,8] for a matrix")
    return text


def node_of(given: Any) -> dict[str, Any]:
    """What `read` gave as the structure of one argument, as the reader of saved models tells structures."""
    if isinstance(given, dict):
        return {"spec": "dict", "items": {key: node_of(item) for key, item in given.items()}}
    if isinstance(given, list):
        return {"spec": "list", "items": [node_of(item) for item in given]}
    dtype, _, rest = str(given).partition("[")
    if not rest:
        return {"spec": "value", "value": "a sentence"}
    sizes = [part.strip() for part in rest.rstrip("]").split(",") if part.strip()]
    return {"spec": "tensor", "dtype": dtype, "shape": [None if size == "?" else int(size) for size in sizes]}


def example(way: Expected | None) -> str:
    """The call that fits, in the form that `read` reads; empty where it is not made of tensors, dicts and lists."""
    if way is None:
        return ""
    node = way.first if way.first is not None else {"spec": "dict", "items": way.kwargs}
    try:
        return dumps(_described(node), indent=None)
    except KeyError:
        return ""


def _described(node: dict[str, Any]) -> Any:
    """A structure as dtypes and sizes, one example of eight positions."""
    items = node.get("items")
    if isinstance(items, dict):
        return {key: _described(item) for key, item in items.items()}
    if isinstance(items, list):
        return [_described(item) for item in items]
    return f"{node['dtype'].removesuffix('_ref')}[{','.join(map(str, shape_of(node['shape'])))}]"


def plan(target: str, signature: str, given: Any) -> dict[str, Any]:
    """The call as the worker makes it; a signature takes a dict as its keywords."""
    node = node_of(given)
    if target == "signature" and isinstance(given, dict):
        return {"target": target, "signature": signature, "args": [], "kwargs": node["items"]}
    return {"target": target, "signature": signature, "args": [node], "kwargs": {}}
