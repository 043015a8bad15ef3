"""Real load attempts, shut in as all others, on the gallery's samples of TensorFlow and Keras."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLES
from tests.triage.test_command_line import answer
from tui.core.assemble import read_one_file
from tui.triage.flow import triage_all
from tui.triage.load import LoadOptions, agreement, make_attempt, refusal
from tui.triage.options import Options
from tui.triage.paths import checkpoints

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.report.model import Triage
    from tui.loading.attempt import LoadOutcome

pytestmark = pytest.mark.loader
pytest.importorskip("tensorflow")

ENDS = {
    "tfhub-bert-v3": ("loaded", "call", ""),
    "tfhub-bert-v2-list": ("loaded", "call", ""),
    "tfhub-bert-v1": ("failed", "call", "'AutoTrackable' object is not callable"),
    "tensorflow1-bert": ("failed", "call", "'AutoTrackable' object is not callable"),
    "tfhub-bert-preprocess": ("failed", "load", "Op type not registered 'CaseFoldUTF8'"),
    "tfhub-bert-shard-truncated": ("failed", "load", "Read less bytes than requested"),
    "tfhub-bert-index-missing": ("failed", "load", "Failed to find any matching files"),
    "tfhub-bert-empty-pb": ("failed", "load", "there are 0 MetaGraphs"),
    "tfhub-text-asset-missing": ("failed", "load", "assets/vocab.txt; No such file"),
    "keras-custom-layer": ("failed", "load", "Unknown layer: 'Gate'"),
    "google-bert-checkpoint": ("loaded", "load", ""),
}
GREEN = {
    "tfhub-bert-v1": "hub.signature",
    "tensorflow1-bert": "hub.signature",
    "tfhub-bert-preprocess": "hub.load+text",
    "tfhub-bert-v3": "hub.KerasLayer",
    "tfhub-bert-v2-list": "tf.saved_model.load",
}
"""The loader that turns a red sample green, and other loaders on the good ones."""


def _attempted(name: str, options: LoadOptions) -> tuple[LoadOutcome, Triage, list[str]]:
    lines: list[str] = []

    async def run() -> tuple[LoadOutcome, Triage]:
        [checkpoint] = checkpoints([str(SAMPLES / name)])
        report = await triage_all([checkpoint], Options())
        assert refusal(checkpoint, options) == ""
        outcome = await make_attempt(checkpoint, options, lambda line: lines.append(f"{line.stream} {line.text}")).run()
        return outcome, report.triages[0]

    return (*asyncio.run(run()), lines)


@pytest.mark.parametrize("name", ENDS)
def test_an_attempt_ends_as_predicted_and_says_where(name: str) -> None:
    kind, stage, words = ENDS[name]
    outcome, before, lines = _attempted(name, LoadOptions())
    assert (outcome.outcome, outcome.stage) == (kind, stage)
    assert words in (outcome.error or {}).get("message", "")
    assert agreement(before, outcome)[1] is True
    assert any(line.startswith("stage import") for line in lines)
    if name.startswith("tfhub-bert-v") and kind == "loaded":
        assert outcome.answer["forward"]["shape"] == [1, 8]
        assert outcome.answer["forward"]["finite"] is True


@pytest.mark.parametrize("name", GREEN)
def test_another_loader_can_be_picked(name: str) -> None:
    outcome, _, _ = _attempted(name, LoadOptions(loader=GREEN[name]))
    assert (outcome.outcome, outcome.stage) == ("loaded", "call"), outcome.error


def test_code_in_the_file_is_refused_without_consent() -> None:
    code, told = answer("load", str(SAMPLES / "keras-lambda"), "--json")
    assert (code, told["outcome"], told["predicted"]) == (1, "refused", "fails")
    assert "Lambda layers double" in told["error"]["message"]
    [checkpoint] = checkpoints([str(SAMPLES / "keras-lambda")])
    for loader in ("keras", "tf_keras", "h5py"):
        assert "--unpickle" in refusal(checkpoint, LoadOptions(loader=loader))
    assert refusal(checkpoint, LoadOptions(unpickle=True)) == ""


def test_the_answer_has_the_contracts_form() -> None:
    code, told = answer("load", str(SAMPLES / "tfhub-bert-v1"), "--json")
    assert code == 1
    assert told["schema"] == 1
    assert (told["outcome"], told["stage"], told["predicted"], told["agrees"]) == ("failed", "call", "fails", True)
    assert told["error"]["type"] == "TypeError"
    assert "Traceback" in told["error"]["traceback"]
    assert "tfhub-v1-in-tf2" in {item["rule"] for item in told["findings"]}
    assert "load-failed" not in {item["rule"] for item in told["findings"]}


def test_a_frozen_graph_is_imported_and_called(tmp_path: Path) -> None:
    from tests.builders.bundles import frozen_graph

    path = frozen_graph(tmp_path / "frozen.pb")
    assert read_one_file(path, "x").kind == "tensorflow_graph"
    code, told = answer("load", str(path), "--json")
    assert (code, told["outcome"], told["stage"], told["agrees"]) == (0, "loaded", "call", True)
    assert told["forward"]["shape"] == [1, 300]
