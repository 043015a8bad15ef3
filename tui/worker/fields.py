"""The config field behind a mismatch: candidate values are tried through the comparison itself.

The loader's report names tensors only; forty mismatched tensors usually come from one wrong number.
"""

from __future__ import annotations

import copy
import json
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from ckptriage_worker import blame, configs, direct, edits, witness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckptriage_worker.states import State

_BUDGET = 6.0
_MOST_FIELDS = 4
_FEW = 3000
"""Rows of a model that is built in milliseconds, so that its fields may be probed."""

_INDEX = re.compile(r"\.(\d+)\.")
_LABELS = "num_labels"


def behind(request: dict[str, Any], state: State | None, answer: dict[str, Any]) -> dict[str, Any]:
    """`fields` for the answer: what explains its differences, or the value at which the class cannot be built."""
    if state is None or not direct.applies():
        return {}
    if answer["stage"] in ("done", "weights"):
        return {"fields": explain(request, state, answer)}
    if answer["stage"] in ("config", "build"):
        return blame.at_fault(request, state, answer)
    return {}


def full_values(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The config file's values on top of the class's defaults, so that a field which the file leaves out is found."""
    config_class = edits.class_of(name, values)
    try:
        defaults = config_class().to_dict()
    except Exception:  # a class without usable defaults
        return copy.deepcopy(values)
    aliases = getattr(config_class, "attribute_map", None) or {}
    spelled = {aliases.get(key, key) for key in values}
    out = copy.deepcopy(values)
    for key, value in defaults.items():
        if key not in values and key not in spelled and isinstance(value, (int, bool)):
            out[key] = value
        elif isinstance(value, dict) and isinstance(out.get(key), dict) and "model_type" in value:
            part = {inner: number for inner, number in value.items() if isinstance(number, (int, bool))}
            out[key] = {**part, **out[key]}
    return out


def explain(request: dict[str, Any], state: State, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """`[{field, config, weights, keys}]`: fields that, set to what the weights say, make differences go away.

    `keys` counts the model keys that each explains; the list is ordered, each field on top of those before it.
    """
    values = request.get("values")
    if not isinstance(values, dict) or not direct.applies():
        return []
    base = _differing(answer)
    if not base or not values:
        return []
    deadline = time.process_time() + _BUDGET
    name = answer["model_class"]
    found: list[dict[str, Any]] = []
    current = full_values(name, values)
    while base and len(found) < _MOST_FIELDS and time.process_time() < deadline:
        best = _best(name, current, state, answer, base, deadline)
        if best is None:
            break
        field, old, new, edited, left, answer = best
        found.append({"field": field, "config": old, "weights": new, "keys": len(base) - len(left)})
        current, base = edited, left
    return found


def _differing(answer: dict[str, Any]) -> dict[str, int]:
    """Everything that does not match, by a name that stays the same from one evaluation to the next."""
    out = {("mismatch " + item["key"]): 1 for item in answer.get("mismatched", [])}
    out.update(("missing " + key, 1) for key in answer.get("missing", []))
    out.update(("unexpected " + key, 1) for key in answer.get("unexpected", []))
    return out


def _best(
    name: str, values: dict[str, Any], state: State, answer: dict[str, Any], base: dict[str, int], deadline: float
) -> tuple[Any, ...] | None:
    """The candidate that leaves the fewest differences, or `None` where none helps."""
    best = None
    for field, old, new, edited in _all_candidates(name, values, state, answer, deadline):
        if time.process_time() > deadline:
            break
        tried = evaluate(name, edited, state)
        if tried is None:
            continue
        left = _differing(tried)
        if len(left) < len(base) and (best is None or len(left) < len(best[4])):
            best = (field, old, new, edited, left, tried)
            if not left or len(left) * 3 < len(base):
                break
    return best


def _all_candidates(
    name: str, values: dict[str, Any], state: State, answer: dict[str, Any], deadline: float
) -> Iterator[tuple[str, Any, Any, dict[str, Any]]]:
    """Values read off the sizes first; those that take building the class more than once only after them."""
    yield from _candidates(values, answer)
    wanted = witness.wanted_sizes(answer)
    small = sum(1 for _ in answer.get("rows", ())) <= _FEW
    if wanted and small:
        for path, value, _ in witness.Prober(name, state, deadline).solve(values, wanted)[:6]:
            old = _value_at(values, path)
            yield ".".join(path), old, value, witness.with_value(values, path, value)


def _value_at(values: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def evaluate(name: str, values: dict[str, Any], state: State) -> dict[str, Any] | None:
    """The comparison under edited values; `None` where the class cannot be built."""
    try:
        cls, config, _ = configs.resolve(name, json.dumps(values), "")
        outcome = direct.compare(cls, config, state)
    except Exception:  # a candidate that the class refuses is no candidate
        return None
    if outcome.crash is not None or outcome.conversion:
        return None
    mismatched = [{"key": key, "checkpoint": pair[0], "model": pair[1]} for key, pair in outcome.mismatched.items()]
    return {
        "missing": sorted(outcome.missing),
        "unexpected": sorted(outcome.unexpected),
        "mismatched": mismatched,
        "matched": len([key for key in outcome.sources if key not in outcome.mismatched]),
        "model_class": name,
        "rows": [[key] for key in outcome.shapes],
    }


def _candidates(values: dict[str, Any], answer: dict[str, Any]) -> list[tuple[str, Any, Any, dict[str, Any]]]:
    """(field, its value, the value the weights suggest, edited config), likeliest first."""
    wanted: Counter[tuple[int, int]] = Counter()
    for item in answer.get("mismatched", []):
        for have, need in zip(item["model"], item["checkpoint"]):
            if have != need:
                wanted[(have, need)] += 1
    out = []
    for (have, need), _ in wanted.most_common(12):
        out.extend(_with_value(values, have, need))
    out.extend(with_layers(values, answer))
    out.extend(with_switches(values, answer))
    return out[:40]


def _with_value(values: dict[str, Any], have: int, need: int) -> list[tuple[str, Any, Any, dict[str, Any]]]:
    """Fields whose value is the model's size, or divides it as the weights' size is divided."""
    out = []
    labels = _label_count(values)
    if labels == have:
        out.append((_LABELS, have, need, _relabelled(values, need)))
    for path, value in _integers(values):
        if value == have:
            out.append((".".join(path), value, need, _edited(values, path, need)))
    for path, value in _integers(values):
        if 1 < value != have and have % value == 0 and need % (have // value) == 0 and need // (have // value) > 0:
            suggested = need // (have // value)
            out.append((".".join(path), value, suggested, _edited(values, path, suggested)))
    return out


def _label_count(values: dict[str, Any]) -> int:
    labels = values.get("id2label")
    if isinstance(values.get(_LABELS), int):
        return values[_LABELS]
    return len(labels) if isinstance(labels, dict) else 2


def _relabelled(values: dict[str, Any], count: int) -> dict[str, Any]:
    edited = copy.deepcopy(values)
    edits.relabel(edited, count)
    return edited


def _integers(values: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    """Every integer of the config and of its parts, with the keys that lead to it."""
    out = []
    for key, value in values.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, int):
            out.append(((*path, key), value))
        elif isinstance(value, dict) and len(path) < 3 and key not in ("id2label", "label2id"):
            out.extend(_integers(value, (*path, key)))
    return out


def _edited(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    edited = copy.deepcopy(values)
    part = edited
    for key in path[:-1]:
        part = part[key]
    if path[-1] in edits.LAYER_COUNTS:
        edits.resize_layers(part, part[path[-1]], value)
    part[path[-1]] = value
    return edited


def with_layers(values: dict[str, Any], answer: dict[str, Any]) -> list[tuple[str, Any, Any, dict[str, Any]]]:
    """Counts of layers: indices in the file against indices in the model."""
    missing = _index_sets(answer.get("missing", []))
    unexpected = _index_sets(answer.get("unexpected", []))
    model = _index_sets([row[0] for row in answer.get("rows", [])])
    out = []
    for stem, indices in model.items():
        have = len(indices)
        if stem in unexpected and max(unexpected[stem]) >= have:
            need = max(unexpected[stem]) + 1
        elif stem in missing and max(missing[stem]) == have - 1:
            need = have - len(missing[stem])
        else:
            continue
        for path, value in _integers(values):
            if value == have and need > 0 and need != have:
                out.append((".".join(path), value, need, _edited(values, path, need)))
    return out


def _index_sets(keys: list[str]) -> dict[str, set[int]]:
    """Indices by what stands before them: `encoder.layer` → {0, 1, 2}."""
    out: dict[str, set[int]] = {}
    for key in keys:
        match = _INDEX.search(key)
        if match:
            out.setdefault(key[: match.start()], set()).add(int(match.group(1)))
    return out


def with_switches(values: dict[str, Any], answer: dict[str, Any]) -> list[tuple[str, Any, Any, dict[str, Any]]]:
    """Tying and biases: switches that decide whether keys exist."""
    out: list[tuple[str, Any, Any, dict[str, Any]]] = []
    for key, value in values.items():
        if isinstance(value, bool) and ("tie" in key or "bias" in key):
            out.append((key, value, not value, _edited(values, (key,), not value)))
    missing = answer.get("missing", [])
    if values.get("feed_forward_proj") == "relu" and any(".wi_0." in key for key in answer.get("unexpected", [])):
        derived = ("is_gated_act", "dense_act_fn")
        gated = {key: value for key, value in values.items() if key not in derived}
        out.append(("feed_forward_proj", "relu", "gated-gelu", dict(gated, feed_forward_proj="gated-gelu")))
    if "tie_word_embeddings" not in values and any(
        name.endswith(("lm_head.weight", "decoder.weight")) for name in missing
    ):
        edited = dict(values, tie_word_embeddings=True)
        out.append(("tie_word_embeddings", None, True, edited))
    return out
