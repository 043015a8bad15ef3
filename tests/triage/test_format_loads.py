"""Load attempts by the official readers of the other formats, and by joblib with consent."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy
import pytest

from tests.conftest import SAMPLES
from tests.triage.test_command_line import answer
from tui.core.assemble import read_directory
from tui.core.diagnosis.evidence import Evidence, Outcome
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loader


def test_numpy_loads_arrays_and_refuses_objects(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "a.npz", w=numpy.zeros(3))
    code, out = answer("load", str(tmp_path / "a.npz"), "--json")
    assert (code, out["outcome"], out["model_class"], out["agrees"]) == (0, "loaded", "NpzFile", True)
    code, out = answer("load", str(SAMPLES / "numpy-objects" / "classifier.npz"), "--json")
    assert (code, out["outcome"], out["error"]["type"], out["agrees"]) == (1, "failed", "ValueError", True)
    assert "allow_pickle=False" in out["error"]["message"]


@pytest.mark.parametrize(("package", "sample", "error"), [
    ("gguf", "gguf-tiny", ""), ("gguf", "gguf-truncated", "ValueError"),
    ("onnx", "onnx-external-missing", "ValidationError"),
])  # fmt: skip
def test_official_readers(package: str, sample: str, error: str) -> None:
    code, out = answer("load", str(SAMPLES / sample), "--json")
    if importlib.util.find_spec(package) is None:
        assert (code, out["outcome"], out["error"]["type"]) == (1, "failed", "ModuleNotFoundError")
        assert "environment-no-framework" in {item["rule"] for item in out["findings"]}
        return
    assert (out["outcome"], out["agrees"]) == ("failed" if error else "loaded", True)
    assert (out["error"] or {}).get("type", "") == error


def test_a_missing_reader_is_not_the_files_fault() -> None:
    checkpoint = read_directory(SAMPLES / "gguf-tiny", "gguf-tiny")
    missing = Outcome("failed", "ModuleNotFoundError", "No module named 'gguf'")
    rules = {item.rule: item.severity for item in triage_of(Evidence(checkpoint, outcome=missing)).findings}
    assert rules["environment-no-framework"] == "info"
    other = Outcome("failed", "ModuleNotFoundError", "No module named 'yaml'")
    assert "environment-no-framework" not in {
        item.rule for item in triage_of(Evidence(checkpoint, outcome=other)).findings
    }


def test_joblib_asks_first(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    joblib.dump({"w": numpy.arange(5)}, tmp_path / "m.joblib")
    code, out = answer("load", str(tmp_path / "m.joblib"), "--json")
    assert (code, out["outcome"]) == (1, "refused")
    assert "joblib.load runs what the file names" in out["error"]["message"]
    code, out = answer("load", str(tmp_path / "m.joblib"), "--json", "--unpickle", "--trust-this-file")
    assert (code, out["outcome"], out["model_class"]) == (0, "loaded", "dict")
