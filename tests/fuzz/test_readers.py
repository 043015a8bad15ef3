from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLES
from tests.fuzz.__main__ import run
from tests.fuzz.mutate import many
from tui.core.assemble import json_document, read_one_file
from tui.core.diagnosis.evidence import Evidence
from tui.core.formats.tensorflow import table
from tui.core.formats.tensorflow.crc32c import crc32c
from tui.core.formats.tokenizer_files import read_tokenizer
from tui.core.report.model import triage_of

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


TENSORFLOW = {
    "encoder/saved_model.pb": SAMPLES / "tfhub-bert-v3" / "saved_model.pb",
    "list/saved_model.pb": SAMPLES / "tfhub-bert-v2-list" / "saved_model.pb",
    "module/saved_model.pb": SAMPLES / "tfhub-bert-v1" / "saved_model.pb",
    "variables.index": SAMPLES / "tfhub-bert-v3" / "variables" / "variables.index",
    "bert.index": SAMPLES / "google-bert-checkpoint" / "bert_model.ckpt.index",
    "model.h5": SAMPLES / "keras-custom-layer" / "model.h5",
    "model.keras": SAMPLES / "keras-lambda" / "model.keras",
}


@pytest.mark.parametrize("name", TENSORFLOW)
def test_mutated_files_of_tensorflow_are_answered(tmp_path: Path, name: str) -> None:
    data = TENSORFLOW[name].read_bytes()
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    for seed, changed in many(data, 0, COUNT // 5):
        path.write_bytes(changed)
        checkpoint = read_one_file(path, name)
        unexpected = [problem for problem in checkpoint.all_problems() if problem.code == "file-unreadable"]
        assert not unexpected, (seed, unexpected)
        triage = triage_of(Evidence(checkpoint))
        assert not [item for item in triage.findings if item.title == "A check could not be made"], seed


def test_mutated_tables_with_right_checksums_are_answered(tmp_path: Path) -> None:
    """The checksum guards a table's blocks, so that mutations of them must be sealed again to reach the readers."""
    data = TENSORFLOW["bert.index"].read_bytes()
    length = _first_block(data)
    path = tmp_path / "model.ckpt.index"
    read = 0
    for seed, changed in many(data[:length], 0, COUNT):
        block = changed[:length].ljust(length, b"\0") + b"\0"
        crc = crc32c(block)
        masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
        path.write_bytes(block + masked.to_bytes(4, "little") + data[length + 5 :])
        checkpoint = read_one_file(path, path.name)
        codes = {item.code for item in checkpoint.all_problems()}
        assert not codes & {"file-unreadable", "tensorflow-checksum"}, seed
        read += bool(checkpoint.tensors)
    assert read > 10


def _first_block(data: bytes) -> int:
    """Length of the table's one data block, which its index block names."""
    _, at = table._handle(data[-48:], 0)
    (place, size), _ = table._handle(data[-48:], at)
    [(_, handle, _)] = table._entries(data[place : place + size], 0)
    (first, length), _ = table._handle(handle, 0)
    assert first == 0
    return length
