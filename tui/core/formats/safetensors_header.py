"""A safetensors header as serde reads it, for headers that are JSON of another form than `save_file` writes.

Mirrors `HashMetadata` and `TensorInfo` of `safetensors/src/tensor.rs` 0.8 under serde_json 1.0: an entry may be an
array of its three fields, a field may not be given twice, unknown fields are skipped, numbers are not converted, and
nothing lies deeper than 127. Slower than the decoder for headers of the usual form, which go past it.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_TEXT = 64 << 20
"""A header of unusual form that is larger is not looked at."""

_MAX_DEPTH = 127
_SURROGATE = re.compile("[\ud800-\udfff]")
_NEGATIVE_ZERO = re.compile(rb"[\[,]\s*-0\s*[,\]]")
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_FIELDS = ("dtype", "shape", "data_offsets")

Fields = tuple[str, tuple[int, ...], tuple[int, int]]


class HeaderRefused(Exception):
    """Why serde refuses the header; `offset` is where in it, `None` where it is no syntax that is wrong."""

    def __init__(self, words: str, offset: int | None = None, utf8: bool = True) -> None:
        super().__init__(words)
        self.offset = offset
        self.utf8 = utf8


class _Pairs(list[tuple[str, Any]]):
    """A JSON object, in which a name may come twice."""


class _Float:
    """A number that serde does not take for an integer."""


def is_plain(header: bytes, tensors: int, metadata: int | None) -> bool:
    """Whether a decoded header had nothing but the fields that are kept, each once: as many quotes as those need.

    `metadata` is the number of its entries, `None` where there is none.
    """
    bare = _ESCAPED.sub(b"", header) if b"\\" in header else header
    quotes = 10 * tensors + (2 + 4 * metadata if metadata is not None else 0)
    return bare.count(b'"') == quotes and not (b"-" in header and b"-0" in header and _NEGATIVE_ZERO.search(header))


def decode(header: bytes, dtypes: frozenset[str]) -> tuple[dict[str, Fields], dict[str, str]]:
    """Dtype, shape and offsets of each tensor, and the free text; raises `HeaderRefused`.

    Of a name that comes twice the last entry counts, and the first must be sound too: its dtype one of `dtypes`.
    """
    document = _parsed(header)
    _check_depth_and_text(document, b"\\u" in header)
    if not isinstance(document, _Pairs):
        raise HeaderRefused(f"invalid type: {_kind(document)}, expected struct HashMetadata", 0)
    metadata: dict[str, str] | None = None
    tensors: dict[str, Fields] = {}
    for name, value in document:
        if name != "__metadata__":
            if name in tensors and tensors[name][0] not in dtypes:
                raise HeaderRefused(f"unknown variant `{tensors[name][0]}`")
            tensors[name] = _entry(value)
        elif metadata is not None:
            raise HeaderRefused("duplicate field `__metadata__`")
        else:
            metadata = _texts(value)
    return tensors, metadata or {}


def _parsed(header: bytes) -> Any:
    """The document with its pairs in order."""
    if len(header) > MAX_TEXT:
        raise HeaderRefused(f"larger than {MAX_TEXT >> 20} MiB: not read", 0)
    try:
        text = header.decode("utf-8")
    except UnicodeDecodeError as error:
        words = f"not UTF-8: {error.reason} at byte {error.start}"
        raise HeaderRefused(words, error.start, utf8=False) from None
    try:
        return json.loads(
            text, object_pairs_hook=_Pairs, parse_float=_float, parse_int=_integer, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise HeaderRefused(error.msg, len(text[: error.pos].encode())) from None
    except RecursionError:
        raise HeaderRefused("recursion limit exceeded", 0) from None


def _float(text: str) -> _Float:
    """A number with a fraction or an exponent; what a double cannot hold is refused wherever it stands."""
    if float(text) in (float("inf"), float("-inf")):
        raise HeaderRefused("number out of range")
    return _Float()


def _integer(text: str) -> int | _Float:
    """An integer of 64 bits; a longer one, and minus zero, are floating point to serde."""
    if text == "-0" or len(text) > 20:
        return _float(text)
    value = int(text)
    return value if -(1 << 63) <= value < 1 << 64 else _Float()


def _constant(text: str) -> Any:
    raise HeaderRefused(f"expected value: {text} is no JSON")


def _check_depth_and_text(document: Any, escapes: bool) -> None:
    """No deeper than serde goes, and no half of a surrogate pair, also in what is skipped."""
    stack: list[tuple[Any, int]] = [(document, 0)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, str):
            if escapes and _SURROGATE.search(value):
                raise HeaderRefused("holds a lone surrogate: unexpected end of hex escape")
        elif isinstance(value, list | tuple):
            inside = depth if isinstance(value, tuple) else depth + 1
            if inside > _MAX_DEPTH:
                raise HeaderRefused("recursion limit exceeded")
            stack.extend((item, inside) for item in value)


def _kind(value: Any) -> str:
    """What serde calls a value of that type."""
    if isinstance(value, _Pairs):
        return "map"
    names: dict[type, str] = {list: "sequence", str: "string", bool: "boolean", int: "integer", type(None): "null"}
    return names.get(type(value), "floating point")


def _texts(value: Any) -> dict[str, str]:
    """`Option<HashMap<String, String>>`: the last of each name."""
    if value is None:
        return {}
    if not isinstance(value, _Pairs):
        raise HeaderRefused(f"invalid type: {_kind(value)}, expected a map")
    for _, text in value:
        if not isinstance(text, str):
            raise HeaderRefused(f"invalid type: {_kind(text)}, expected a string")
    return dict(value)


def _entry(value: Any) -> Fields:
    """`TensorInfo`, from an object or from an array of its three fields."""
    if type(value) is list:
        if len(value) != len(_FIELDS):
            raise HeaderRefused(f"invalid length {len(value)}, expected struct TensorInfo with 3 elements")
        fields = dict(zip(_FIELDS, value, strict=True))
    elif isinstance(value, _Pairs):
        fields = _named(value)
    else:
        raise HeaderRefused(f"invalid type: {_kind(value)}, expected struct TensorInfo")
    begin_end = _sizes(fields["data_offsets"])
    if len(begin_end) != 2:
        raise HeaderRefused(f"invalid length {len(begin_end)}, expected a tuple of size 2")
    return _variant(fields["dtype"]), _sizes(fields["shape"]), (begin_end[0], begin_end[1])


def _named(pairs: _Pairs) -> dict[str, Any]:
    """The fields that are known; what else an entry holds is skipped."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in _FIELDS:
            if name in fields:
                raise HeaderRefused(f"duplicate field `{name}`")
            fields[name] = value
    for name in _FIELDS:
        if name not in fields:
            raise HeaderRefused(f"missing field `{name}`")
    return fields


def _variant(value: Any) -> str:
    """A dtype: its name, or an object of that name alone with nothing in it."""
    if isinstance(value, str):
        return value
    if isinstance(value, _Pairs) and len(value) == 1 and value[0][1] is None:
        return value[0][0]
    raise HeaderRefused(f"invalid type: {_kind(value)}, expected string or map")


def _sizes(value: Any) -> tuple[int, ...]:
    """`Vec<usize>`."""
    if type(value) is not list:
        raise HeaderRefused(f"invalid type: {_kind(value)}, expected a sequence")
    for size in value:
        if type(size) is not int or size < 0:
            raise HeaderRefused(f"invalid type or value: {_kind(size)}, expected usize")
    return tuple(value)
