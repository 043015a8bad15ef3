"""A config recovered from the weights: the class's defaults, with every size that the tensors prove put in.

Each field of the draft is marked: `inferred` (a tensor's size says so), `guessed` (by custom: heads are 64 wide) or
`default` (nothing in the file bears on it). A draft is a proposal; nothing is written.
"""

from __future__ import annotations

import copy
import json
import re
import time
from typing import TYPE_CHECKING, Any

from ckptriage_worker import configs, edits, fields, witness

if TYPE_CHECKING:
    from ckptriage_worker.states import State

_BUDGET = 12.0
_ENOUGH = 3.0
"""Seconds after which a family that fits is not held against others any more."""

_MOST = 6
_TIE = 0.03
"""Families whose likeness differs by less are told apart by how well their sizes fit."""

_ROUNDS = 8
_FEW_LAYERS = 4
_HEAD_SIZES = (64, 128, 32, 256, 96, 80, 112, 48, 16, 8)
"""Widths of an attention head, by custom."""

_QUERY = re.compile(r"\.(q_proj|query|q)\.weight$")


def recover(request: dict[str, Any], state: State) -> dict[str, Any]:
    """`{drafts: [{model_type, class, likeness, matched, differences, config, marks}]}`, best first.

    `request["families"]` holds `[model type, class, likeness]`, likest first.
    """
    began = time.process_time()  # processor time, so that a busy machine recovers the same config
    deadline = began + _BUDGET
    families = (request.get("families") or [])[:_MOST]
    drafts: list[dict[str, Any]] = []
    for model_type, name, likeness in families:
        left = deadline - time.process_time()
        fits = any(not item["differences"] for item in drafts)
        late = time.process_time() - began > _ENOUGH
        if drafts and (left < 0 or (fits and (late or likeness < families[0][2] - _TIE))):
            break
        made = Draft(model_type, name, state, time.process_time() + max(left / 2, 3.0)).made()
        if made is not None:
            drafts.append(dict(made, likeness=likeness))
    return {"drafts": sorted(drafts, key=_likest_first)}


def _likest_first(item: dict[str, Any]) -> tuple[int, float, int]:
    """Fewest differences, likest names, then the class from whose defaults the fewest sizes differ."""
    changed = sum(1 for mark in item["marks"].values() if mark != "default")
    return (item["differences"], -round(item["likeness"], 2), changed)


class Draft:
    """One family's config, solved step by step."""

    def __init__(self, model_type: str, name: str, state: State, deadline: float) -> None:
        self.model_type = model_type
        self.name = name
        self.state = state
        self.deadline = deadline
        self.marks: dict[str, str] = {}
        self.defaults: dict[str, Any] = {}
        self.prober = witness.Prober(name, state, deadline)

    def made(self) -> dict[str, Any] | None:
        """The solved config with its comparison; `None` where the class cannot be built from its defaults."""
        values = self._defaults()
        if values is None:
            return None
        answer = fields.evaluate(self.name, values, self.state)
        if answer is None:
            return None
        values, answer = self._names(values, answer, fields.with_switches)
        values, answer = self._names(values, answer, fields.with_layers)
        values = self._heads(self._sizes(values))
        values, answer = self._rest(values)
        if answer is None:
            return None
        return self._told(self._customary(values), answer)

    def _defaults(self) -> dict[str, Any] | None:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        try:
            values = CONFIG_MAPPING[self.model_type]().to_dict()
        except Exception:  # a class without usable defaults
            return None
        labels = values.pop("id2label", None) or {}
        values.pop("label2id", None)
        values["num_labels"] = len(labels) or 2
        values.pop("transformers_version", None)
        self.defaults = values
        return {**values, "model_type": self.model_type, "architectures": [self.name]}

    def _names(
        self, values: dict[str, Any], answer: dict[str, Any], candidates: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Switches and counts of layers first: they decide which tensors there are."""
        for _ in range(3):
            before = _partnerless(answer)
            for field, _, _, edited in candidates(values, answer):
                tried = fields.evaluate(self.name, edited, self.state)
                if tried is not None and _partnerless(tried) < before:
                    values, answer = edited, tried
                    self.marks[field] = "inferred"
                    break
            else:
                break
        return values, answer

    def _sizes(self, values: dict[str, Any]) -> dict[str, Any]:
        """Every size that a tensor proves, solved on a model of few layers."""
        small = copy.deepcopy(values)
        counts = {key: small[key] for key in edits.LAYER_COUNTS if isinstance(small.get(key), int)}
        for key, count in counts.items():
            if count > _FEW_LAYERS:
                small = witness.with_value(small, (key,), _FEW_LAYERS)
        for _ in range(_ROUNDS):
            answer = fields.evaluate(self.name, small, self.state)
            if answer is None or not answer["mismatched"] or self.prober.over():
                break
            step = self._step(small, answer)
            if step is None:
                break
            small = step
        for key, count in counts.items():
            if small[key] != count:
                small = witness.with_value(small, (key,), count)
        return small

    def _step(self, values: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any] | None:
        """The best solved fields, taken together where the class builds with them."""
        before = len(answer["mismatched"])
        current, best = values, None
        for path, value, _ in self.prober.solve(values, witness.wanted_sizes(answer))[:8]:
            edited = witness.with_value(current, path, value)
            tried = fields.evaluate(self.name, edited, self.state)
            if tried is None:
                edited = witness.repaired(edited)
                tried = fields.evaluate(self.name, edited, self.state)
            if tried is not None and len(tried["mismatched"]) < before:
                current, best, before = edited, edited, len(tried["mismatched"])
                self.marks[".".join(path)] = "inferred"
                if before == 0:
                    break
        return best

    def _heads(self, values: dict[str, Any]) -> dict[str, Any]:
        """Head geometry where tensors still do not fit: widths of custom, tried until the rest can be solved."""
        answer = fields.evaluate(self.name, values, self.state)
        key = next((name for name in witness.HEADS if name in values), None)
        if answer is None or not answer["mismatched"] or key is None:
            return values
        width = self._query_width() or witness.hidden_of(values) or 0
        best, fewest = values, len(answer["mismatched"])
        for size in _HEAD_SIZES:
            if width % size or self.prober.over():
                continue
            heads = dict(values, **{key: width // size})
            for edited in (heads, dict(heads, head_dim=size)):
                left, solved = self._fitted(edited)
                if left < fewest:
                    best, fewest = solved, left
                    self.marks[key] = self.marks["head_dim"] = "guessed"
            if fewest == 0:
                break
        return best

    def _fitted(self, edited: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """(mismatches left, the config) after one more step of solving."""
        tried = fields.evaluate(self.name, edited, self.state)
        if tried is None:
            return 1 << 30, edited
        solved = self._step(edited, tried) or edited
        left = fields.evaluate(self.name, solved, self.state)
        return (len(left["mismatched"]) if left is not None else 1 << 30), solved

    def _query_width(self) -> int | None:
        """Rows of the first query projection: heads × head width."""
        for name in self.state.meta:
            shape = self.state.shape(name)
            if _QUERY.search(name) and shape:
                return int(shape[0])
        return None

    def _rest(self, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Switches and whatever is still left, one field after the other."""
        answer = fields.evaluate(self.name, values, self.state)
        if answer is None:
            return values, None
        for item in fields.explain({"values": values}, self.state, answer):
            path = tuple(item["field"].split("."))
            if path == ("num_labels",):
                values = dict(values, num_labels=item["weights"])
            else:
                values = witness.with_value(values, path, item["weights"])
            self.marks[item["field"]] = "inferred"
        return values, fields.evaluate(self.name, values, self.state)

    def _customary(self, values: dict[str, Any]) -> dict[str, Any]:
        """Heads are 64 wide by custom where no tensor tells; the shapes do not change with the guess."""
        before = self.prober.shapes(values)
        hidden = witness.hidden_of(values)
        for key in witness.HEADS:
            if key in values and hidden and hidden % 64 == 0 and self.marks.get(key) != "guessed":
                guessed = dict(values, **{key: hidden // 64})
                if self.prober.shapes(guessed) == before:
                    values = guessed
                    self.marks[key] = "guessed"
        for field in self.marks:
            if "head" in field:
                self.marks[field] = "guessed"
        return values

    def _told(self, values: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """The draft as a config.json of the library, its marks, and how much of the file it takes."""
        labels = values.pop("num_labels", 2)
        if "num_labels" in self.marks:
            edits.relabel(values, labels)
        _, config, _ = configs.resolve(self.name, json.dumps(values), "")
        whole = json.loads(config.to_json_string(use_diff=False))
        whole = {key: value for key, value in whole.items() if value is not None}
        whole["architectures"] = [self.name]
        differing = len(answer["missing"]) + len(answer["unexpected"]) + len(answer["mismatched"])
        return {
            "model_type": self.model_type,
            "class": self.name,
            "matched": answer["matched"],
            "differences": differing,
            "config": whole,
            "marks": {key: self._mark(key, whole) for key in _leaves(whole)},
        }

    def _mark(self, key: str, whole: dict[str, Any]) -> str:
        """Where a value comes from; a size that was changed to suit another is a guess."""
        if key in ("model_type", "architectures"):
            return "inferred"
        if key in self.marks:
            return self.marks[key]
        value = whole.get(key)
        return "guessed" if key in witness.HEADS and value != self.defaults.get(key) else "default"


def _leaves(values: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys of a config; a label map counts as one, under the name of its count."""
    out = []
    for key, value in values.items():
        if isinstance(value, dict) and key not in ("id2label", "label2id"):
            out.extend(_leaves(value, f"{prefix}{key}."))
        elif key != "label2id":
            out.append("num_labels" if key == "id2label" else prefix + key)
    return out


def _partnerless(answer: dict[str, Any]) -> int:
    """How many names have no partner."""
    return len(answer["missing"]) + len(answer["unexpected"])
