"""Edits as config classes understand them, over every config class that the library knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.loader


@pytest.fixture(scope="module")
def edits() -> Any:
    from ckptriage_worker import edits

    return edits


def _defaults() -> list[tuple[str, Any, dict[str, Any]]]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    out = []
    for model_type in list(CONFIG_MAPPING.keys()):
        try:
            config = CONFIG_MAPPING[model_type]()
            values = json.loads(config.to_json_string(use_diff=False))
        except Exception:  # a class without usable defaults says nothing here
            continue
        out.append((model_type, config, values))
    return out


def test_no_saved_config_of_the_library_holds_a_slip(edits: Any) -> None:
    defaults = _defaults()
    assert len(defaults) > 500
    slips = {kind: edits.unknown(values, type(config)) for kind, config, values in defaults}
    assert [kind for kind, found in slips.items() if any(close for _, close in found)] == []
    assert [kind for kind, config, values in defaults if edits.contradictions(values, config)] == []


@pytest.mark.parametrize(
    ("entries", "count", "wanted"),
    [
        (["full", "slide", "slide"], 2, ["full", "slide"]),
        (["slide", "full"], 5, ["slide", "full", "slide", "full", "slide"]),
        (["a", "a"], 3, ["a", "a", "a"]),
        (["a", "b", "c"], 4, ["a", "b", "c", "a"]),
    ],
)
def test_lists_of_layers_go_on_in_their_rhythm(edits: Any, entries: list[str], count: int, wanted: list[str]) -> None:
    assert edits.continued(entries, count) == wanted


def test_the_file_s_spelling_is_kept(edits: Any) -> None:
    from transformers import GPT2Config

    for values in ({"n_embd": 8}, {"hidden_size": 8}):
        for key in ("n_embd", "hidden_size"):
            changed, _ = edits.changed(values, {key: 16}, GPT2Config)
            assert changed == dict.fromkeys(values, 16)
