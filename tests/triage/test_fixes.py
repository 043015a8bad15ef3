from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def _built(place: Path) -> dict[str, Path]:
    """Every case and sample in a directory of its own, under a name that a shell must be told how to take."""
    made: dict[str, Path] = {}
    for name in (*CASES, *LOCAL):
        made[name] = place / name / "it's a model"
        made[name].parent.mkdir()
    for case in catalogue:
        if case.rule in CASES:
            made[case.rule].mkdir()
            case.built(made[case.rule])
    for name in LOCAL:
        shutil.copytree(SAMPLES / name, made[name])
    return made


def _checked(targets: dict[str, Path]) -> dict[str, Any]:
    """What one `check` says of all of them."""
    _, said = answer("check", *map(str, targets.values()), "--json")
    return dict(zip(targets, said["checkpoints"], strict=True))


def _command(name: str, checkpoint: dict[str, Any]) -> str:
    """The command of the case's rule, or of the finding that a sample shows first."""
    findings = checkpoint["findings"]
    if name in CASES:
        return str(next(item for item in findings if item["rule"] == name)["fix"][CASES[name]])
    return str(next(item for item in findings if item["severity"] != "info")["fix"][0])


def test_the_printed_commands_turn_red_into_green(place: Path) -> None:
    targets = _built(place)
    for name, checkpoint in _checked(targets).items():
        _run(_command(name, checkpoint), place)
    left = {}
    for name, checkpoint in _checked(targets).items():
        serious = [item["rule"] for item in checkpoint["findings"] if item["severity"] != "info"]
        case = next((case for case in catalogue if case.rule == name), catalogue[0])
        outcome = real.outcome(replace(case, loader="transformers"), targets[name])
        if (checkpoint["verdict"], serious, outcome[0]) != ("loads", [], "loads"):
            left[name] = (checkpoint["verdict"], serious, outcome)
    assert left == {}
