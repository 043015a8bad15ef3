from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from tests.builders import tables
from tests.conftest import SAMPLES
from tests.fuzz import __main__ as long_run
from tests.fuzz.directory_seeds import directories
from tests.fuzz.mutate import many
from tests.fuzz.seeds import Seed
from tests.fuzz.tensorflow_seeds import sealed_table, targets
from tui.core.assemble import json_document, read_one_file
from tui.core.formats import read_file
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
    assert long_run.run(150, 0, tmp_path, long_run.alone(tmp_path)) == []


def test_mutated_files_of_directories_are_answered(tmp_path: Path) -> None:
    held = directories(tmp_path / "made")
    for name, seed in held.items():
        whole = long_run.fuzz(name, Seed(seed.data, change=_unchanged, root=seed.root, name=seed.name), 0, 1, tmp_path)
        assert (whole.read, whole.failures) == (1, []), name
    (tmp_path / "inputs").rename(tmp_path / "whole")
    assert long_run.run(20, 0, tmp_path, held) == []


def _unchanged(data: bytes, number: int) -> bytes:
    return data


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


@pytest.mark.parametrize("name", ["sealed.ckpt.index", "sealed.ckpt-1", "inside.keras", "text/saved_model.pb"])
def test_mutations_reach_what_lies_behind_checksums(tmp_path: Path, name: str) -> None:
    """Whole seeds are read without a problem; of the mutations some still are, and some are found behind the seal."""
    target = targets(tmp_path)[name]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(tables.table(target.data) if target.change is sealed_table else target.data)
    report = read_file(path, path.name)
    assert not report.problems
    assert report.tensors or report.metadata["meta_graphs"]
    read = damaged = 0
    for seed in range(COUNT // 5):
        path.write_bytes(target.change(target.data, seed))
        report = read_file(path, path.name)
        assert "tensorflow-checksum" not in {problem.code for problem in report.problems}
        read += report.fatal is None
        damaged += report.fatal is not None
    assert read > 10
    assert damaged > 10


def test_the_long_run_tells_what_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(path: Path, name: str) -> None:
        raise RuntimeError("broken reader")

    def endless(path: Path, name: str) -> None:
        while True:
            pass

    monkeypatch.setattr(long_run, "read_one_file", raising)
    seed = Seed(b"data")
    assert long_run.fuzz("model.h5", seed, 5, 1, tmp_path).failures == ["model.h5 seed 5: RuntimeError: broken reader"]
    monkeypatch.setattr(long_run, "HANGS", 0.05)
    monkeypatch.setattr(long_run, "read_one_file", endless)
    [line] = long_run.fuzz("model.h5", seed, 5, 1, tmp_path).failures
    assert line.startswith("model.h5 seed 5: TooSlow: no answer in")


def test_the_table_made_by_hand_is_one_of_tensorflow(tmp_path: Path) -> None:
    """The seed of version 1 is made without TensorFlow, whose reader takes it all the same."""
    tensorflow = pytest.importorskip("tensorflow")
    path = tmp_path / "model.ckpt-1"
    path.write_bytes(tables.table(tables.first_version({"bert/embeddings": (1, (10, 4)), "steps": (9, ())})))
    shapes = tensorflow.train.load_checkpoint(str(path)).get_variable_to_shape_map()
    assert shapes == {"bert/embeddings": [10, 4], "steps": []}
