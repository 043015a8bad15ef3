from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLES
from tests.fuzz.__main__ import run
from tests.fuzz.mutate import many
from tui.core.assemble import json_document, read_one_file
from tui.core.formats.tokenizer_files import read_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 1500
SEEDS = {
    "model.safetensors": SAMPLES / "bert-ner" / "model.safetensors",
    "pytorch_model.bin": SAMPLES / "bert-ner-zip-bin" / "pytorch_model.bin",
    "legacy.bin": SAMPLES / "bert-ner-legacy-bin" / "pytorch_model.bin",
    "module.pt": SAMPLES / "torch-main-module" / "model.pt",
}


@pytest.mark.parametrize("name", SEEDS)
def test_mutated_files_are_answered(tmp_path: Path, name: str) -> None:
    data = SEEDS[name].read_bytes()[:20_000]
    path = tmp_path / name
    for seed, changed in many(data, 0, COUNT):
        path.write_bytes(changed)
        checkpoint = read_one_file(path, name)
        unexpected = [problem for problem in checkpoint.all_problems() if problem.code == "file-unreadable"]
        assert not unexpected, (seed, unexpected)


def test_mutated_files_of_every_format_are_answered(tmp_path: Path) -> None:
    assert run(150, 0, tmp_path) == []


def test_mutated_pickles_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    for protocol in range(6):
        data = pickle.dumps({"a": [1, 2.5, "x", b"y", (None, True)], "b": {"c": {1, 2}}}, protocol=protocol)
        for seed, changed in many(data, 10_000 * protocol, COUNT):
            path.write_bytes(changed)
            checkpoint = read_one_file(path, path.name)
            unexpected = [problem for problem in checkpoint.all_problems() if problem.code == "file-unreadable"]
            assert not unexpected, (seed, protocol, unexpected)


def test_mutated_json_is_answered(tmp_path: Path) -> None:
    data = (SAMPLES / "bert-ner" / "config.json").read_bytes()
    for _, changed in many(data, 0, COUNT):
        document = json_document("config.json", changed)
        assert document.problem is not None or document.text
    text = (SAMPLES / "bert-ner" / "tokenizer.json").read_bytes()
    for _, changed in many(text, 0, COUNT // 5):
        (tmp_path / "tokenizer.json").write_bytes(changed)
        assert read_tokenizer(tmp_path, frozenset({"tokenizer.json"})).files == ("tokenizer.json",)
