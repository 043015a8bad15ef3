"""Metadata as lines for reading: all of a small one, a bounded part of a huge one."""

from __future__ import annotations

from tests.conftest import SAMPLES
from tests.triage.test_command_line import run
from tui.core.report.outline import outline


def test_what_is_nested_is_indented() -> None:
    graph = {"tags": ["serve"], "inputs": {"x": {"dtype": "float32", "shape": [None, 3]}}, "assets": []}
    assert outline({"form": "model", "graphs": [graph], "layers": [{"name": "a", "class": "Dense"}]}) == [
        "form: model", "graphs:", "  1:", "    tags: serve", "    inputs:", "      x: float32[?, 3]",
        "    assets: none", "layers:", "  1: name a, class Dense",
    ]  # fmt: skip


def test_of_what_is_huge_a_part_is_shown() -> None:
    assert outline({"tokens": [str(number) for number in range(200_000)]}) == [
        f"tokens: {', '.join(map(str, range(12)))} and 199,988 more"
    ]
    rows = outline({"graphs": [{"a": {"b": [{"c": {"d": 1}}]}} for _ in range(100_000)]})
    assert "  and 99,988 more" in rows
    assert len(outline({str(number): {"x": {"y": [{}]}} for number in range(9_000)})) == 81
    deep: object = 1
    for _ in range(60):
        deep = {"x": [deep]}
    assert len(outline({"deep": deep})) < 20
    assert outline({"a\nb": "c\x1b[2J"}) == [r"a\x0ab: c\x1b[2J"]


def test_inspect_tells_tags_signatures_ops_and_assets_of_a_saved_model() -> None:
    told = run("inspect", str(SAMPLES / "tfhub-bert-v1")).stdout
    for line in ("tags: train", "input_ids: int32[?, ?]", "pooled_output: float32[?, 8]", "tensorflow_version: 2.21.0"):
        assert line in told
    assert "assets: vocab.txt" in run("inspect", str(SAMPLES / "tfhub-text-asset-missing")).stdout
