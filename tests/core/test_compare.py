from __future__ import annotations

import pytest

from tui.core.compare import Row, fold, fold_names
from tui.core.config_edits import edited, parse_setting
from tui.errors import UsageError


def test_names_fold_by_their_numbers() -> None:
    assert fold_names([f"layers.{n}.mlp.weight" for n in range(32)]) == "layers.{0…31}.mlp.weight"
    assert fold_names(["a.1.b"]) == "a.1.b"
    assert fold_names(["h.0.c.7", "h.1.c.7"]) == "h.{0…1}.c.7"


def test_rows_fold_only_where_status_and_shapes_agree() -> None:
    rows = [Row(f"l.{n}.w", (f"l.{n}.w",), "ok", (2, 2), (2, 2)) for n in range(3)]
    rows.append(Row("l.3.w", ("l.3.w",), "mismatch", (2, 2), (3, 2)))
    groups = fold(rows)
    assert [(group.name, group.count) for group in groups] == [("l.{0…2}.w", 3), ("l.3.w", 1)]


def test_edits_reach_into_parts_and_leave_the_original() -> None:
    config = {"text_config": {"hidden_size": 8}, "num_labels": 2, "id2label": {"0": "A"}}
    changed = edited(config, {"text_config.hidden_size": 16, "num_labels": 5})
    assert changed["text_config"]["hidden_size"] == 16
    assert "id2label" not in changed
    assert config["text_config"] == {"hidden_size": 8}


def test_settings_are_json_or_text() -> None:
    assert parse_setting("a.b=3") == ("a.b", 3)
    assert parse_setting("x=true") == ("x", True)
    assert parse_setting("act=gelu") == ("act", "gelu")
    with pytest.raises(UsageError):
        parse_setting("nothing")
