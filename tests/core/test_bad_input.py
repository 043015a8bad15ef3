"""Every format cut short anywhere, begun wrongly, gone on with, and with absurd counts: a located message each."""

from __future__ import annotations

import io
import json
import shutil
import struct
import tracemalloc
from typing import TYPE_CHECKING

import numpy
import pytest
import torch
from safetensors.torch import save_file

from tests.builders.format_samples import fasttext, varint
from tests.conftest import REPOSITORY, SAMPLES
from tests.fuzz.seeds import seeds
from tui.core.assemble import read_directory
from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.rules import diagnose
from tui.core.formats import read_file
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import FileReport

NAMES = (
    "model.safetensors", "pytorch_model.bin", "legacy.bin", "module.pt", "model.gguf", "model.npz", "model.onnx",
    "array.npy", "model.pkl.gz", "model.pth.tar", "flax_model.msgpack", "model.tflite", "model.h5", "model.keras",
    "saved_model.pb", "bert.ckpt.index", "net.mlmodel", "words.bin", "exported.pt2",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    found = seeds(tmp_path_factory.mktemp("seeds"))
    samples = {
        "model.safetensors": "bert-ner/model.safetensors", "module.pt": "torch-main-module/model.pt",
        "pytorch_model.bin": "bert-ner-zip-bin/pytorch_model.bin",
        "legacy.bin": "bert-ner-legacy-bin/pytorch_model.bin",
    }  # fmt: skip
    out = {name: seed.wrap(seed.data) for name, seed in found.items()}
    out["net.mlmodel"] = (REPOSITORY / "tests" / "data" / "coreml" / "net.mlmodel").read_bytes()
    out["words.bin"] = fasttext()
    exported = torch.export.export(torch.nn.Linear(4, 2), (torch.ones(1, 4),))
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    out["exported.pt2"] = buffer.getvalue()
    return {**out, **{name: (SAMPLES / path).read_bytes() for name, path in samples.items()}}


def _read(path: Path, name: str, data: bytes) -> FileReport:
    (path / name).write_bytes(data)
    return read_file(path / name, name)


def _cuts(size: int) -> list[int]:
    """The first bytes one by one, where magics, versions and counts lie, then some hundred places up to the end."""
    return sorted({*range(1, min(size, 48)), *range(48, size, max(size // 120, 1)), *range(max(size - 40, 1), size)})


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_anywhere_says_where(made: dict[str, bytes], tmp_path: Path, name: str) -> None:
    """Where nothing is said nothing is lost: padding alone was cut off."""
    whole = made[name]
    expected = _read(tmp_path, name, whole)
    silent = []
    for place in _cuts(len(whole)):
        report = _read(tmp_path, name, whole[:place])
        located = [item for item in report.problems if item.file == name and item.message]
        lost = (report.tensors, report.metadata) != (expected.tensors, expected.metadata)
        unnoticed = any(item.code.endswith("-unnoticed") for item in located)
        if lost and not (located and (report.fatal is not None or unnoticed)):
            silent.append(place)
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_another_beginning_is_never_read_as_the_format(made: dict[str, bytes], tmp_path: Path, name: str) -> None:
    whole = made[name]
    for head in (b"\xff" * 16, b"\x00" * 16, b"<html>", b"version https://git-lfs.github.com/spec/v1\n"):
        report = _read(tmp_path, name, head + whole[len(head) :])
        if name == "model.keras" and head[:1] in b"\xff\0":  # Keras finds it by its end, and opens no metadata.json
            assert {item.code for item in report.problems} == {"keras-metadata"}
            continue
        assert report.fatal is not None, head
        assert report.fatal.file == name


@pytest.mark.parametrize("name", ["model.safetensors", "model.gguf", "array.npy", "flax_model.msgpack"])
def test_bytes_after_the_end_are_said_with_their_place(made: dict[str, bytes], tmp_path: Path, name: str) -> None:
    whole = made[name]
    report = _read(tmp_path, name, whole + b"more" * 50)
    assert any(item.offset is not None and item.offset >= len(whole) - 8 for item in report.problems), report.problems
    assert len(report.tensors) == len(_read(tmp_path, name, whole).tensors)


HUGE = 1 << 60


def _safetensors(text: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text + data


def _absurd() -> dict[str, bytes]:
    """Counts of 2^60 where each format has one."""
    entry = {"dtype": "F32", "shape": [HUGE, HUGE], "data_offsets": [0, 4]}
    offsets = {"dtype": "F32", "shape": [1], "data_offsets": [HUGE, HUGE + 4]}
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (HUGE, HUGE)  # noqa: UP031  # braces
    dims = b"\x08" + varint(HUGE) + b"\x08" + varint(HUGE) + b"\x10\x01\x42\x01w\x4a\x04\x00\x00\x00\x00"
    graph = b"\x2a" + varint(len(dims)) + dims
    hdf5 = (SAMPLES / "keras-custom-layer" / "model.h5").read_bytes()
    return {
        "shape.safetensors": _safetensors(json.dumps({"w": entry}).encode(), bytes(4)),
        "offsets.safetensors": _safetensors(json.dumps({"w": offsets}).encode(), bytes(4)),
        "header.safetensors": struct.pack("<Q", HUGE) + b"{}",
        "shape.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 200) + header.ljust(199).encode() + b"\n" + bytes(8),
        "header.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", (1 << 32) - 1) + b"{}",
        "map.msgpack": b"\xdf\xff\xff\xff\xff\xa1a",
        "dims.onnx": b"\x08\x08\x3a" + varint(len(graph)) + graph,
        "long.onnx": b"\x08\x08\x3a" + varint(HUGE) + graph,
        "long.mlmodel": b"\x08\x04\xa2\x1f" + varint(HUGE) + b"layers",
        "matrix.bin": fasttext().replace(struct.pack("<qq", 12, 3), struct.pack("<qq", HUGE, HUGE)),
        "saved_model.pb": b"\x08\x01\x12" + varint(HUGE) + bytes(40),
        "handles.ckpt.index": (bytes(60) + varint(0) + varint(8) + varint(HUGE) + varint(HUGE)).ljust(100, b"\0")
        + struct.pack("<Q", 0xDB4775248B80FB57),
        "end.h5": hdf5[:40] + struct.pack("<Q", HUGE) + hdf5[48:],
        "root.tflite": struct.pack("<I", (1 << 31) - 1) + b"TFL3" + bytes(90),
        "zip.bin": b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 65535, 65535, 1 << 31, 0, 0),
    }


@pytest.mark.parametrize("name", sorted(_absurd()))
def test_absurd_counts_are_refused_without_their_memory(tmp_path: Path, name: str) -> None:
    tracemalloc.start()
    report = _read(tmp_path, name, _absurd()[name])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.fatal is not None
    assert report.fatal.file == name
    assert peak < 4 << 20


def test_tensorflow_js_with_absurd_shapes_and_a_shard_of_another_model(tmp_path: Path) -> None:
    """The manifest's sizes are not those of the shards; a shape of 2^60 asks for no memory."""
    for shape, size, rule in (
        ([HUGE, HUGE], 8, "layout-part-missing"), ([2], 12, "bytes-after-end"), ([2], 4, "layout-part-missing"),
    ):  # fmt: skip
        weights = [{"name": "w", "shape": shape, "dtype": "float32"}]
        manifest = {"paths": ["group1-shard1of1.bin"], "weights": weights}
        document = {"format": "layers-model", "modelTopology": {}, "weightsManifest": [manifest]}
        (tmp_path / "model.json").write_text(json.dumps(document), "utf-8")
        (tmp_path / "group1-shard1of1.bin").write_bytes(bytes(size))
        triage = triage_of(Evidence(read_directory(tmp_path, "m")))
        assert [(item.rule, item.file) for item in triage.findings] == [(rule, "group1-shard1of1.bin")]
        assert [tensor.shape for tensor in triage.checkpoint.tensors] == [tuple(shape)]


def test_a_bundle_with_the_shard_of_another_model(tmp_path: Path) -> None:
    """Its size gives it away at once; the tensors of the index are listed all the same."""
    shutil.copytree(SAMPLES / "google-bert-checkpoint", tmp_path / "b")
    [shard] = (tmp_path / "b").glob("*.data-*")
    whole = len(read_directory(tmp_path / "b", "b").tensors)
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 3])
    triage = triage_of(Evidence(read_directory(tmp_path / "b", "b")))
    assert triage.verdict == "fails"
    assert any(item.file and item.file.endswith(shard.name) for item in triage.findings)
    assert len(triage.checkpoint.tensors) == whole


def test_tensors_over_one_another_are_said(tmp_path: Path) -> None:
    rows = {
        "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        "b": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},
    }
    report = _read(tmp_path, "m.safetensors", _safetensors(json.dumps(rows).encode(), bytes(24)))
    assert report.fatal is not None
    assert "b" in report.fatal.message + " ".join(report.fatal.detail)


def test_a_shard_of_another_model_is_said_by_the_names_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    save_file({"a": torch.ones(2)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"other": torch.ones(3)}, tmp_path / "model-00002-of-00002.safetensors")
    index = {
        "metadata": {},
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    found = diagnose(Evidence(read_directory(tmp_path, "m")))
    words = [line for item in found if item.rule.startswith("shard-") for line in item.evidence]
    assert any("b" in line.split() or "other" in line for line in words), found


def test_a_record_of_another_size_is_said(tmp_path: Path) -> None:
    """A tensor that reaches beyond the storage that its archive holds."""
    torch.save({"w": torch.arange(64.0)}, tmp_path / "m.bin")
    data = (tmp_path / "m.bin").read_bytes()
    assert data.count(b"K@\x85") == 1  # the shape (64,) in the pickle
    report = _read(tmp_path, "m.bin", data.replace(b"K@\x85", b"K\x7f\x85"))
    assert [item.code for item in report.problems if item.fatal] == ["torch-tensor-outside-storage"]
    assert numpy.prod(report.tensors[0].shape) == 127
