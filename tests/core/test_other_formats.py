from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest

from tests.builders.format_samples import fasttext
from tui.core.assemble import read_one_file
from tui.core.formats import read_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.checkpoint import FileReport


def _package_file(package: str, pattern: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed here")
    return next(Path(spec.origin).parent.rglob(pattern))


def _cuts(path: Path, name: str, whole: bytes, code: str, read: Callable[[Path, str], FileReport] = read_file) -> None:
    """Every cut is answered with a located problem."""
    for length in range(12, len(whole) - 1, max(len(whole) // 400, 1)):
        (path / name).write_bytes(whole[:length])
        report = read(path / name, name)
        assert report.fatal is not None, length
        assert report.fatal.code == code
        assert report.fatal.offset is not None


# Flax


def _flax(value: Any) -> bytes:
    """As `flax.serialization.to_bytes` writes it."""
    msgpack = pytest.importorskip("msgpack")

    def pack(item: Any) -> Any:
        if isinstance(item, numpy.ndarray):
            inner = msgpack.packb((item.shape, item.dtype.name, item.tobytes()), use_bin_type=True)
            return msgpack.ExtType(1, inner)
        raise TypeError(item)

    return bytes(msgpack.packb(value, default=pack, strict_types=True))


def test_flax_arrays_by_path(tmp_path: Path) -> None:
    value = {
        "params": {
            "dense": {"kernel": numpy.arange(300, dtype="float32").reshape(3, 100), "bias": numpy.zeros(4, "float16")},
            "list": {"0": numpy.zeros((), "int64"), "1": numpy.ones((2, 0), "bool")},
        },
        "step": 70_000,
        "name": "x" * 300,
        "none": None,
        "rate": 0.5,
    }
    whole = _flax(value)
    (tmp_path / "flax_model.msgpack").write_bytes(whole)
    report = read_file(tmp_path / "flax_model.msgpack", "flax_model.msgpack")
    assert report.problems == ()
    assert [(item.name, item.dtype, item.shape, item.nbytes) for item in report.tensors] == [
        ("params/dense/kernel", "F32", (3, 100), 1200),
        ("params/dense/bias", "F16", (4,), 8),
        ("params/list/0", "I64", (), 8),
        ("params/list/1", "BOOL", (2, 0), 0),
    ]
    kernel = report.tensors[0]
    assert kernel.offset is not None
    assert whole[kernel.offset : kernel.offset + 1200] == numpy.arange(300, dtype="float32").tobytes()
    assert read_one_file(tmp_path / "flax_model.msgpack", "f").kind == "flax"
    _cuts(tmp_path, "flax_model.msgpack", whole, "flax-damaged")
    (tmp_path / "flax_model.msgpack").write_bytes(whole + b"more")
    assert read_file(tmp_path / "flax_model.msgpack", "flax_model.msgpack").fatal is not None


HOSTILE = {
    "2^32 items": b"\xdf\xff\xff\xff\xff",
    "deep": b"\x81\xa1a" * 5000,
    "2^32 dimensions": b"\x81\xa1a\xc7\x05\x01\x93\xdd\xff\xff\xff",
    "no key": b"\x81\xc1",
    "no value": b"\x81\xa1a\xc1",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_msgpack_is_answered(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.msgpack").write_bytes(HOSTILE[name])
    report = read_file(tmp_path / "m.msgpack", "m.msgpack")
    assert report.fatal is not None
    assert report.fatal.code == "flax-damaged"


# fastText


def test_fasttext_matrices(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(fasttext())
    report = read_file(tmp_path / "m.bin", "m.bin")
    assert (report.format, report.problems) == ("fasttext", ())
    assert [(item.name, item.shape) for item in report.tensors] == [("input", (12, 3)), ("output", (1, 3))]
    assert (report.metadata["version"], report.metadata["dim"], report.metadata["model"]) == (12, 3, "supervised")
    matrices = len(fasttext()) - 173  # from there on fastText takes zeros for what is missing
    _cuts(tmp_path, "m.bin", fasttext()[: matrices + 1], "fasttext-damaged")
    (tmp_path / "m.bin").write_bytes(fasttext(quantized=True))
    assert read_file(tmp_path / "m.bin", "m.bin").metadata["quantized"] is True
    absurd = fasttext().replace(struct.pack("<qq", 12, 3), struct.pack("<qq", 1 << 60, 1 << 60))
    for data in (fasttext(version=99), absurd, struct.pack("<ii", 793712314, 12) + b"\xff" * 90):
        (tmp_path / "m.bin").write_bytes(data)
        assert read_file(tmp_path / "m.bin", "m.bin").fatal is not None


# TensorFlow Lite


DETAILS = """
import json, sys, tensorflow as tf
kind = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
items = tf.lite.Interpreter(sys.argv[1], experimental_op_resolver_type=kind).get_tensor_details()
print(json.dumps({item["name"]: [item["dtype"].__name__, item["shape"].tolist()] for item in items}))
"""


@pytest.mark.loader
@pytest.mark.parametrize(("package", "pattern"), [("basic_pitch", "nmp.tflite"), ("fer", "*quantized.tflite")])
def test_tflite_tensors_equal_the_interpreters(package: str, pattern: str) -> None:
    path = _package_file(package, pattern)
    report = read_file(path, path.name)
    assert report.problems == ()
    assert report.metadata["version"] == 3
    done = subprocess.run([sys.executable, "-c", DETAILS, str(path)], capture_output=True, check=True, timeout=200)
    known = json.loads(done.stdout.splitlines()[-1])
    names = {"F32": "float32", "I8": "int8", "I32": "int32", "U8": "uint8", "I64": "int64", "F16": "float16"}
    assert report.tensors
    for item in report.tensors:
        assert known[item.name] == [names[item.dtype], list(item.shape)]


def test_damaged_tflite_is_answered(tmp_path: Path) -> None:
    whole = _package_file("basic_pitch", "nmp.tflite").read_bytes()
    for length in range(8, len(whole) - 64, len(whole) // 50):
        (tmp_path / "m.tflite").write_bytes(whole[:length])
        report = read_file(tmp_path / "m.tflite", "m.tflite")
        assert report.format == "tflite"
        assert report.fatal is not None, length
    (tmp_path / "m.tflite").write_bytes(b"\xff\xff\xff\x7fTFL3" + bytes(90))
    assert read_file(tmp_path / "m.tflite", "m.tflite").fatal is not None


# CoreML


def test_coreml_says_its_version(tmp_path: Path) -> None:
    path = _package_file("basic_pitch", "model.mlmodel")
    report = read_file(path, path.name)
    assert (report.format, report.problems) == ("coreml", ())
    assert report.metadata["model"] in ("mlProgram", "neuralNetwork")
    assert report.metadata["specification_version"] >= 4
    (tmp_path / "m.mlmodel").write_bytes(path.read_bytes()[:-100])
    assert read_file(tmp_path / "m.mlmodel", "m.mlmodel").fatal is not None


# torch.export


@pytest.mark.loader
def test_an_exported_program(tmp_path: Path) -> None:
    import torch

    class Model(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 3)
            self.register_buffer("mask", torch.zeros(2, dtype=torch.int32))

        def forward(self, x: Any) -> Any:
            return self.layer(x) + self.mask.sum()

    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(Model(), (torch.ones(1, 4),)), path)
    checkpoint = read_one_file(path, "m.pt2")
    assert (checkpoint.kind, checkpoint.all_problems()) == ("torch_export", ())
    loaded = torch.export.load(path).state_dict
    assert {item.name: item.shape for item in checkpoint.tensors} == {
        name: tuple(value.shape) for name, value in loaded.items()
    }
    assert {item.name: item.dtype for item in checkpoint.tensors} == {
        "layer.weight": "F32", "layer.bias": "F32", "mask": "I32",
    }  # fmt: skip
    raw = path.read_bytes()
    for item in checkpoint.tensors:
        assert item.offset is not None
        assert raw[item.offset : item.offset + item.nbytes] == loaded[item.name].detach().numpy().tobytes()
