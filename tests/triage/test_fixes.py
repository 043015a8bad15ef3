from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.catalogue import real
from tests.catalogue.table import CASES as catalogue
from tests.conftest import SAMPLES
from tests.triage.test_command_line import answer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.loader
LOCAL = (
    "bert-ner-labels", "bert-ner-hidden", "bert-dataparallel", "bert-nested", "bert-ner-cased",
    "bert-ner-no-model-type",
)  # fmt: skip
"""Samples whose fix needs nothing but the command."""

CASES = {
    "safetensors-trailing-bytes": -1, "safetensors-nul-padding": 0, "file-ckpt-opened-as-safetensors": 0,
    "shard-index-invalid": 0, "shard-index-stale": 0, "config-no-model-type": 0, "config-gqa-kv-heads": 0,
    "config-tie-word-embeddings": 0, "config-unknown-key": 0, "config-missing-config": 0,
    "shape-num-labels": 0, "shape-vocab-resize": 0, "shape-config-mismatch": 0, "key-module-prefix": 0,
    "key-orig-mod-prefix": 0, "key-nested-prefix-silent": 0, "key-nested-container": 0, "key-lightning-prefix": 0,
    "tokenizer-special-ids": 0, "tokenizer-case-mismatch": 0,
}  # fmt: skip
"""Cases of the catalogue likewise, and which of the printed commands it is."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield tmp_path


def _run(command: str, place: Path) -> None:
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, cwd=place)
    compared = command.startswith("ckptriage compare")  # which ends with the verdict on what it was given
    assert done.returncode == 0 or compared, done.stderr


@pytest.mark.parametrize("rule", CASES)
def test_the_command_of_a_case_mends_it(place: Path, rule: str) -> None:
    case = next(case for case in catalogue if case.rule == rule)
    target = place / "it's a model"
    target.mkdir()
    case.built(target)
    _, before = answer("check", str(target), "--json")
    finding = next(item for item in before["checkpoints"][0]["findings"] if item["rule"] == rule)
    _run(finding["fix"][CASES[rule]], place)
    _, after = answer("check", str(target), "--json")
    [checkpoint] = after["checkpoints"]
    assert checkpoint["verdict"] == "loads", checkpoint["findings"]
    assert [item["rule"] for item in checkpoint["findings"] if item["severity"] != "info"] == []
    assert real.outcome(replace(case, loader="transformers"), target)[0] == "loads"


@pytest.mark.parametrize("name", LOCAL)
def test_the_printed_command_turns_red_into_green(place: Path, name: str) -> None:
    target = place / "it's a model"
    shutil.copytree(SAMPLES / name, target)
    _, before = answer("check", str(target), "--json")
    [checkpoint] = before["checkpoints"]
    finding = next(item for item in checkpoint["findings"] if item["severity"] != "info")
    _run(finding["fix"][0], place)
    _, after = answer("check", str(target), "--json")
    [checkpoint] = after["checkpoints"]
    assert checkpoint["verdict"] == "loads"
    assert [item for item in checkpoint["findings"] if item["severity"] != "info"] == []
    code, loaded = answer("load", str(target), "--json")
    assert (code, loaded["outcome"], loaded["missing"], loaded["unexpected"]) == (0, "loaded", [], [])
