"""The config value at which a class cannot be built: found by trying the class's own default in its place."""

from __future__ import annotations

import copy
import json
import re
import time
from typing import TYPE_CHECKING, Any

from ckptriage_worker import configs, direct, edits

if TYPE_CHECKING:
    from ckptriage_worker.states import State

_BUDGET = 4.0
_MOST = 60
_META = frozenset(
    {"architectures", "model_type", "auto_map", "transformers_version", "_name_or_path", "id2label", "label2id"}
)


def at_fault(request: dict[str, Any], state: State, answer: dict[str, Any]) -> dict[str, Any]:
    """`{blamed: [{field, value, default}], fields: […]}`: the value that the class refuses, and what the weights say.

    A value is blamed only where the class builds with its default instead.
    """
    from ckptriage_worker import fields

    values = request.get("values") or {}
    name = answer["model_class"]
    message = (answer.get("error") or {}).get("message", "")
    found = _first_that_mends(name, values, message, state)
    if found is None:
        return {"blamed": []}
    key, default, mended = found
    blamed = {"field": key, "value": _short(_at(values, key)), "default": _short(default)}
    base = fields.evaluate(name, mended, state)
    if base is None:
        return {"blamed": [blamed]}
    explained = fields.explain({"values": mended}, state, base)
    own = next((item for item in explained if item["field"] == key), None)
    first = {
        "field": key,
        "config": blamed["value"],
        "weights": own["weights"] if own is not None else default,
        "keys": own["keys"] if own is not None else base["matched"],
    }
    return {"blamed": [blamed], "fields": [first, *(item for item in explained if item is not own)]}


def _first_that_mends(
    name: str, values: dict[str, Any], message: str, state: State
) -> tuple[str, Any, dict[str, Any]] | None:
    """(dotted key, the class's default, the config with it) of the first value whose default lets the class build."""
    deadline = time.process_time() + _BUDGET
    config_class = edits.class_of(name, values)
    if config_class is None:
        return None
    try:
        defaults = config_class().to_dict()
    except Exception:  # a class without usable defaults
        return None
    aliases = getattr(config_class, "attribute_map", None) or {}
    for key in _suspects(values, message)[:_MOST]:
        if time.process_time() > deadline:
            return None
        for other in _others(values, key, _at(defaults, aliases.get(key, key))):
            mended = _without(values, key) if other is None else _with(values, key, other)
            if _builds(name, mended, state):
                return key, other, mended
    return None


def _others(values: dict[str, Any], key: str, default: Any) -> list[Any]:
    """Values to try in place of a refused one: as many layers as are listed, the class's default, none at all."""
    own, parent = _at(values, key), _at(values, key.rpartition(".")[0]) if "." in key else values
    out: list[Any] = []
    if key.rpartition(".")[2] in edits.LAYER_COUNTS and isinstance(parent, dict):
        out += [len(entries) for name, entries in parent.items() if isinstance(entries, list) and "layer" in name]
    out += [default, None]
    return [value for place, value in enumerate(out) if value != own and value not in out[:place]]


def _suspects(values: dict[str, Any], message: str) -> list[str]:
    """Dotted keys, likeliest first: named in the message, then valued as the message says, then the rest."""
    numbers = set(re.findall(r"-?\d+", message))
    keys = [key for key in _paths(values) if key.rpartition(".")[2] not in _META]

    def rank(key: str) -> tuple[int, int]:
        last = key.rpartition(".")[2]
        named = re.search(rf"(?<!\w){re.escape(last)}(?!\w)", message) is not None
        value = _at(values, key)
        shown = not isinstance(value, bool) and isinstance(value, int) and str(value) in numbers
        quoted = isinstance(value, str) and bool(value) and repr(value) in message
        return (0 if named else 1 if shown or quoted else 2, key.count("."))

    return sorted(keys, key=rank)


def _paths(values: dict[str, Any], prefix: str = "") -> list[str]:
    out = []
    for key, value in values.items():
        out.append(prefix + key)
        if isinstance(value, dict) and prefix.count(".") < 2 and key not in _META:
            out.extend(_paths(value, f"{prefix}{key}."))
    return out


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _with(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    out = copy.deepcopy(values)
    part = out
    *path, last = key.split(".")
    for step in path:
        part = part[step]
    if last in edits.LAYER_COUNTS:
        edits.resize_layers(part, part.get(last), value)
    part[last] = value
    return out


def _without(values: dict[str, Any], key: str) -> dict[str, Any]:
    out = copy.deepcopy(values)
    part = out
    *path, last = key.split(".")
    for step in path:
        part = part[step]
    part.pop(last, None)
    return out


def _builds(name: str, values: dict[str, Any], state: State) -> bool:
    try:
        cls, config, _ = configs.resolve(name, json.dumps(values), "")
        direct.build(cls, config, state, None)
    except Exception:  # still refused
        return False
    return True


def _short(value: Any) -> Any:
    """A value that is fit for a line: long ones as text, cut."""
    return value if isinstance(value, (int, float, bool)) or value is None else str(value)[:200]
