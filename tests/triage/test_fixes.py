from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

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


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield tmp_path


@pytest.mark.parametrize("name", LOCAL)
def test_the_printed_command_turns_red_into_green(place: Path, name: str) -> None:
    target = place / "it's a model"
    shutil.copytree(SAMPLES / name, target)
    _, before = answer("check", str(target), "--json")
    [checkpoint] = before["checkpoints"]
    finding = next(item for item in checkpoint["findings"] if item["severity"] != "info")
    done = subprocess.run(["/bin/sh", "-c", finding["fix"][0]], capture_output=True, text=True, check=False, cwd=place)
    assert done.returncode == 0, done.stderr
    _, after = answer("check", str(target), "--json")
    [checkpoint] = after["checkpoints"]
    assert checkpoint["verdict"] == "loads"
    assert [item for item in checkpoint["findings"] if item["severity"] != "info"] == []
    code, loaded = answer("load", str(target), "--json")
    assert (code, loaded["outcome"], loaded["missing"], loaded["unexpected"]) == (0, "loaded", [], [])
