from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLES
from tui.core.assemble import read_directory
from tui.errors import WorkerError
from tui.loading import base
from tui.loading.attempt import read_status

if TYPE_CHECKING:
    from pathlib import Path

ASKED = {"loader": "transformers", "class": None, "values": {"architectures": ["BertForTokenClassification"]}}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.loader
async def test_the_base_is_measured_once_and_kept(tmp_path: Path) -> None:
    assert base.known(None, ASKED) is None
    made = await base.probe(None, ASKED)
    assert made.source == "probed"
    assert 100_000_000 < made.anonymous < 2_000_000_000
    assert base.known(None, ASKED) == made
    [kept] = (tmp_path / "cache").rglob("*.json")
    value = json.loads(kept.read_text("utf-8"))
    assert value["model_class"] == "BertForTokenClassification"
    assert "torch" in value["packages"]
    assert base.known(None, {**ASKED, "values": {"architectures": ["GPT2Model"]}}) is None


@pytest.mark.loader
async def test_a_torch_file_needs_torch_alone() -> None:
    alone = await base.probe(None, {"loader": "torch", "class": None, "values": {}})
    both = await base.probe(None, ASKED)
    assert alone.anonymous < both.anonymous


async def test_an_interpreter_without_torch_is_an_error_with_its_words(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n', "ascii")
    python.chmod(0o755)
    with pytest.raises(WorkerError, match="ModuleNotFoundError"):
        await base.probe(str(python), ASKED)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"anonymous": -5, "file": 1}', '{"anonymous": 1e3, "file": 1}', "[" * 9999]
)
def test_a_damaged_cache_is_no_cache(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "kept.json"
    place.write_text(text, "utf-8")
    monkeypatch.setattr(base, "_place", lambda *_: place)
    assert base.known(None, ASKED) is None


def test_the_question_names_what_the_loader_imports() -> None:
    bert = base.question(read_directory(SAMPLES / "bert-ner", "x"))
    assert (bert["loader"], bert["values"]) == ("transformers", {"architectures": ["BertForTokenClassification"]})
    plain = base.question(read_directory(SAMPLES / "torch-main-module", "x"))
    assert (plain["loader"], plain["values"]) == ("torch", {})


def test_the_status_of_this_process_is_read() -> None:
    found = read_status(os.getpid())
    assert found is not None
    assert found[0] > 1_000_000
