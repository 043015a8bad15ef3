"""Where transformers has no internals for the live path, the public loader alone answers, and says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.run import build

pytestmark = pytest.mark.loader


def _ask(values: dict[str, Any], tensors: list[list[Any]]) -> dict[str, Any]:
    from ckptriage_worker.answers import Comparing
    from ckptriage_worker.states import State

    request = {"class": None, "config": json.dumps(values), "values": values, "shown": "here", "mode": "audit"}
    comparing = Comparing(request, State(tensors, 0, []))
    comparing.settle(comparing.ask_officially())
    answer: dict[str, Any] = json.loads(json.dumps(comparing.finished()))
    return answer


@pytest.mark.parametrize("changes", [{}, {"vocab_size": 120}, {"num_hidden_layers": 3}, {"num_hidden_layers": 1}])
def test_the_audit_alone_says_the_same(monkeypatch: pytest.MonkeyPatch, changes: dict[str, int]) -> None:
    from ckptriage_worker import direct

    model = build("bert", "BertForTokenClassification")
    tensors = [[name, "F32", list(value.shape)] for name, value in model.state_dict().items()]
    values = {**json.loads(model.config.to_json_string()), "architectures": ["BertForTokenClassification"], **changes}
    both = _ask(values, tensors)
    monkeypatch.setattr(direct, "applies", lambda: False)
    alone = _ask(values, tensors)
    kept = ("missing", "unexpected", "mismatched", "loads", "matched", "path", "model_parameters")
    assert {key: alone[key] for key in kept} == {key: both[key] for key in kept}
    assert (alone["error"] or {}).get("type") == (both["error"] or {}).get("type")
    assert {row[0] for row in alone["rows"]} == {row[0] for row in both["rows"]}


def test_a_difference_is_told_and_the_public_loader_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    from ckptriage_worker import direct

    model = build("bert", "BertForTokenClassification")
    tensors = [[name, "F32", list(value.shape)] for name, value in model.state_dict().items()]
    values = {**json.loads(model.config.to_json_string()), "architectures": ["BertForTokenClassification"]}
    original = direct.compare

    def wrong(*arguments: Any, **keywords: Any) -> Any:
        outcome = original(*arguments, **keywords)
        outcome.missing.add("invented.weight")
        return outcome

    monkeypatch.setattr(direct, "compare", wrong)
    answer = _ask(values, tensors)
    assert answer["disagreement"] == ["missing: ['invented.weight']"]
    assert (answer["missing"], answer["path"], answer["loads"]) == ([], "audit", True)
