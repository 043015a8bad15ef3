"""A small valid file of each format, from which mutations are made; by hand where the library may not be installed."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
from typing import TYPE_CHECKING

import numpy

from tests.builders import format_samples
from tests.builders.gguf_files import small
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path


def seeds(place: Path) -> dict[str, bytes]:
    """Name (its suffix counts) → bytes."""
    out = {
        "model.safetensors": (SAMPLES / "bert-ner" / "model.safetensors").read_bytes(),
        "pytorch_model.bin": (SAMPLES / "bert-ner-zip-bin" / "pytorch_model.bin").read_bytes(),
        "legacy.bin": (SAMPLES / "bert-ner-legacy-bin" / "pytorch_model.bin").read_bytes(),
        "module.pt": (SAMPLES / "torch-main-module" / "model.pt").read_bytes(),
        "model.gguf": small(place / "seed.gguf").read_bytes(),
    }
    format_samples.numpy_objects(place)
    format_samples.onnx_external_missing(place)
    out["model.npz"] = (place / "classifier.npz").read_bytes()
    out["model.onnx"] = (place / "model.onnx").read_bytes()
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.arange(6).reshape(2, 3))
    out["array.npy"] = buffer.getvalue()
    value = pickle.dumps({"a": numpy.arange(4.0), "b": ["x", None]})
    out["model.pkl.gz"] = gzip.compress(value, mtime=0)
    out["model.pth.tar"] = _tar({"model.pkl": value, "notes": b"text" * 200})
    out["flax_model.msgpack"] = _flax()
    out["model.tflite"] = _tflite()
    out["model.mlmodel"] = b"\x08\x07\x12\x04\x0a\x02ab\xb2\x1f\x02\x0a\x00"
    return out


def _tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _flax() -> bytes:
    """Two arrays below one key."""
    array = b"\x93\x92\x02\x03\xa7float32\xc4\x18" + bytes(24)
    return b"\x81\xa6params\x82\xa1w\xc7" + bytes([len(array)]) + b"\x01" + array + b"\xa1n\xcd\x01\x02"


def _tflite() -> bytes:
    """A root table without subgraphs: enough for positions to lead astray."""
    return b"\x18\0\0\0TFL3\0\0\0\0\x0c\0\x14\0\x04\0\x08\0\x0c\0\x10\0\x0c\0\0\0\x03\0\0\0" + bytes(24)
