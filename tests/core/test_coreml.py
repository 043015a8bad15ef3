"""CoreML, written by the real coremltools (`tests/builders/coreml_files.py`): version, size, constants and damage."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import numpy
import pytest

from tests.conftest import REPOSITORY
from tui.core.assemble import read_directory
from tui.core.diagnosis.evidence import Evidence
from tui.core.formats import read_file
from tui.core.report.model import Triage, triage_of

if TYPE_CHECKING:
    from pathlib import Path

FILES = REPOSITORY / "tests" / "data" / "coreml"
EXPECTED: dict[str, Any] = json.loads((FILES / "expected.json").read_text("utf-8"))
MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"


def check(path: Path) -> Triage:
    return triage_of(Evidence(read_directory(path, str(path))))


def rules(triage: Triage) -> set[str]:
    return {item.rule for item in triage.findings}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    shutil.copytree(FILES / "net.mlpackage", tmp_path / "net.mlpackage")
    return tmp_path / "net.mlpackage"


def test_constants_are_those_of_coremltools_with_the_place_of_their_bytes(package: Path) -> None:
    triage = check(package)
    checkpoint = triage.checkpoint
    assert (checkpoint.kind, rules(triage)) == ("coreml", set())
    assert checkpoint.by_name[MODEL].metadata["specification_version"] == EXPECTED["specification_version"]
    assert checkpoint.bytes == sum((package / name).stat().st_size for name in (MODEL, WEIGHTS))
    assert {tensor.name: ["FLOAT" + tensor.dtype[1:], list(tensor.shape)] for tensor in checkpoint.tensors} == {
        name: row[:2] for name, row in EXPECTED["constants"].items()
    }
    data = (package / WEIGHTS).read_bytes()
    for tensor in checkpoint.tensors:
        assert tensor.offset is not None
        values = numpy.frombuffer(data, numpy.float16, 3, tensor.offset)
        assert values.astype(float).tolist() == EXPECTED["constants"][tensor.name][2]


@pytest.mark.parametrize("name", ["net.mlmodel", "model.bin", "no-suffix"])
def test_a_neural_network_is_recognised_by_its_content(tmp_path: Path, name: str) -> None:
    shutil.copy(FILES / "net.mlmodel", tmp_path / name)
    report = read_file(tmp_path / name, name)
    assert (report.format, report.size, report.problems) == ("coreml", 10325, ())
    assert report.metadata == {
        "specification_version": 4, "model": "neuralNetwork", "weights": "in the layers, not listed",
    }  # fmt: skip


def test_missing_weights_are_told_and_the_constants_listed(package: Path) -> None:
    (package / WEIGHTS).unlink()
    triage = check(package)
    [found] = [item for item in triage.findings if item.rule == "coreml-weights-missing"]
    assert (found.file, triage.verdict) == (WEIGHTS, "fails")
    assert {tensor.name for tensor in triage.checkpoint.tensors} == set(EXPECTED["constants"])


def test_weights_cut_short_anywhere(package: Path) -> None:
    whole = (package / WEIGHTS).read_bytes()
    for cut in (0, 1, 8, 63, 64, 100, 127, 128, 129, len(whole) // 2, len(whole) - 200):
        (package / WEIGHTS).write_bytes(whole[:cut])
        triage = check(package)
        [found] = [item for item in triage.findings if item.rule == "coreml-weights-damaged"]
        assert found.file == WEIGHTS
        assert any(name in found.evidence[0] for name in EXPECTED["constants"])
        assert {tensor.name for tensor in triage.checkpoint.tensors} == set(EXPECTED["constants"])


def test_weights_of_another_model_and_counts_of_two_to_the_sixtieth(package: Path) -> None:
    whole = (package / WEIGHTS).read_bytes()
    first = whole.index(0xDEADBEEF.to_bytes(4, "little"))
    for place, value in ((0, b"\0\0\0\0"), (4, (99).to_bytes(4, "little")), (4, (2).to_bytes(4, "little")),
                         (8, (1 << 60).to_bytes(8, "little")), (16, (1 << 60).to_bytes(8, "little"))):  # fmt: skip
        changed = whole[: first + place] + value + whole[first + place + len(value) :]
        (package / WEIGHTS).write_bytes(changed)
        assert "coreml-weights-damaged" in rules(check(package))
    (package / WEIGHTS).write_bytes(bytes(len(whole)))
    assert "coreml-weights-damaged" in rules(check(package))


def test_a_program_cut_short_anywhere_says_where(package: Path) -> None:
    whole = (package / MODEL).read_bytes()
    for cut in range(1, len(whole), 17):
        (package / MODEL).write_bytes(whole[:cut])
        triage = check(package)
        [found] = [item for item in triage.findings if item.rule == "coreml-damaged"]
        assert found.file == MODEL


def test_changed_bytes_never_raise_and_lead_nowhere_else(package: Path) -> None:
    whole, numbers = (package / MODEL).read_bytes(), random.Random(7)
    path = whole.index(b"@model_path/")
    (package / MODEL).write_bytes(whole[:path] + b"@model_path/../../weights.bin"[:22] + whole[path + 22 :])
    assert "coreml-weights-missing" in rules(check(package))
    for _ in range(150):
        changed = bytearray(whole)
        changed[numbers.randrange(len(changed))] = numbers.randrange(256)
        (package / MODEL).write_bytes(changed)
        assert not [item for item in check(package).findings if item.rule == "file-unreadable"]
