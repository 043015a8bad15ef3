"""A small valid file of each format, from which mutations are made; by hand where the library may not be installed.

A seed with a wrapper is changed inside it: a pickle in a sound archive or stream, a table whose checksums are right.
"""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy

from tests.builders import format_samples
from tests.builders.checkpoints import header
from tests.builders.gguf_files import small
from tests.conftest import REPOSITORY, SAMPLES
from tests.fuzz.mutate import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _bare(data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Seed:
    """What is changed, and what is put around it before it is read."""

    data: bytes
    wrap: Callable[[bytes], bytes] = _bare
    change: Callable[[bytes, int], bytes] | None = None
    """How it is changed by the number of a mutation, where not in any way."""

    root: Path | None = None
    """The directory that it is a file of, and that is read; `name` is its path there."""

    name: str = ""

    def mutations(self, first: int, count: int) -> Iterator[tuple[int, bytes]]:
        """(number, changed data), the same for the same number."""
        if self.change is None:
            yield from many(self.data, first, count)
            return
        for number in range(first, first + count):
            yield number, self.change(self.data, number)


def seeds(place: Path) -> dict[str, Seed]:
    """Name (its suffix counts; what follows a `#` tells seeds of one name apart) → seed."""
    out = {"array.npy": Seed(_npy(numpy.arange(6).reshape(2, 3))), "model.mlmodel": Seed(_COREML)}
    out["objects.npy"] = Seed(_npy(numpy.array([1, "a", None], dtype=object)))
    head, size = header({"a.weight": ("F32", (2, 3)), "b": ("BF16", (4,)), "c": ("I64", ())}, {"format": "pt"})
    out["model.safetensors"] = Seed(head + bytes(size))
    out["model.safetensors#header"] = Seed(head[8:], partial(_safetensors, size=size))
    out["model.gguf"] = Seed(small(place / "seed.gguf").read_bytes())
    format_samples.numpy_objects(place)
    format_samples.onnx_external_missing(place)
    out["model.npz"] = Seed((place / "classifier.npz").read_bytes())
    out["model.onnx"] = Seed((place / "model.onnx").read_bytes())
    out["flax_model.msgpack"] = Seed(_flax())
    out["model.tflite"] = Seed(_tflite())
    out["dense.tflite"] = Seed((REPOSITORY / "tests" / "data" / "tflite" / "dense.tflite").read_bytes())
    return {**out, **_pickles(), **_torch(), **_tensorflow(), **_texts()}


def _pickles() -> dict[str, Seed]:
    """Plain and packed pickles."""
    value: dict[str, Any] = {"a": numpy.arange(4.0), "b": ["x", None, {1, 2}, (1, 2.5)], "c": {"d": b"y", "e": 2**70}}
    out = {f"data.pkl#{number}": Seed(pickle.dumps(value, protocol=number)) for number in range(6)}
    data = pickle.dumps(value)
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gz": partial(gzip.compress, mtime=0), "bz2": bz2.compress, "xz": lzma.compress, "z": zlib.compress,
    }  # fmt: skip
    for suffix, pack in packers.items():
        out[f"model.pkl.{suffix}"] = Seed(pack(data))
        out[f"model.pkl.{suffix}#inside"] = Seed(data, pack)
    out["model.pth.tar"] = Seed(_tar({"model.pkl": data, "notes": b"text" * 200}))
    out["model.pth.tar#inside"] = Seed(data, lambda changed: _tar({"model.pkl": changed}))
    if importlib.util.find_spec("joblib") is not None:
        import joblib

        buffer = io.BytesIO()
        joblib.dump({"a": numpy.arange(4.0), "o": numpy.array([1, None], dtype=object), "l": [1, 2]}, buffer)
        out["model.joblib"] = Seed(buffer.getvalue())
    return out


def _torch() -> dict[str, Seed]:
    """Archives and legacy files: the gallery's, and small ones of many kinds where torch is installed."""
    module = (SAMPLES / "torch-main-module" / "model.pt").read_bytes()
    out = {"module.pt": Seed(module), "module.pt#inside": _inside(module)}
    out["legacy.bin#sample"] = Seed((SAMPLES / "bert-ner-legacy-bin" / "pytorch_model.bin").read_bytes()[:20_000])
    if importlib.util.find_spec("torch") is None:
        return out
    import torch

    base = torch.arange(12, dtype=torch.float32)
    state = {"a": base[:6].view(2, 3), "b": base[6:].view(3, 2).t(), "h": torch.ones(2).half(), "n": torch.tensor(1)}
    odd = {"s": torch.eye(2).to_sparse(), "q": torch.quantize_per_tensor(base, 0.1, 0, torch.qint8), "o": {"x": [1]}}
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    for name, value in {"state": state, "odd": odd, "optimizer": optimizer.state_dict()}.items():
        for zipped in (True, False):
            buffer = io.BytesIO()
            torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
            data = buffer.getvalue()
            out[f"{'zip' if zipped else 'legacy'}.bin#{name}"] = Seed(data)
            if zipped:
                out[f"zip.bin#{name} inside"] = _inside(data)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    out["script.pt"] = Seed(buffer.getvalue())
    return out


def _inside(archive: bytes) -> Seed:
    """The archive's `data.pkl`, put back into it after the change."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        members = {item.filename: source.read(item) for item in source.infolist()}
    name = next(member for member in members if member.endswith("data.pkl"))
    return Seed(members[name], lambda changed: _zip({**members, name: changed}))


def _tensorflow() -> dict[str, Seed]:
    """Small files of TensorFlow's and Keras' formats."""
    return {
        "model.h5": Seed((SAMPLES / "keras-custom-layer" / "model.h5").read_bytes()),
        "model.keras": Seed((SAMPLES / "keras-lambda" / "model.keras").read_bytes()),
        "bert.ckpt.index": Seed((SAMPLES / "google-bert-checkpoint" / "bert_model.ckpt.index").read_bytes()),
        "saved_model.pb": Seed((SAMPLES / "tfhub-bert-v3" / "saved_model.pb").read_bytes()),
    }


def _texts() -> dict[str, Seed]:
    """JSON beside weights; read as directories."""
    index = {"metadata": {"total_size": 8}, "weight_map": {"a": "model-00001-of-00001.safetensors"}}
    return {
        "dir/config.json": Seed((SAMPLES / "bert-ner" / "config.json").read_bytes()),
        "dir/model.safetensors.index.json": Seed(json.dumps(index).encode()),
        "dir/tokenizer.json": Seed((SAMPLES / "bert-ner" / "tokenizer.json").read_bytes()[:6000]),
    }


def _safetensors(text: bytes, size: int) -> bytes:
    return len(text).to_bytes(8, "little") + text + bytes(size)


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    numpy.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def _tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


_COREML = b"\x08\x07\x12\x04\x0a\x02ab\xb2\x1f\x02\x0a\x00"


def _flax() -> bytes:
    """Two arrays below one key."""
    array = b"\x93\x92\x02\x03\xa7float32\xc4\x18" + bytes(24)
    return b"\x81\xa6params\x82\xa1w\xc7" + bytes([len(array)]) + b"\x01" + array + b"\xa1n\xcd\x01\x02"


def _tflite() -> bytes:
    """A root table without subgraphs: enough for positions to lead astray."""
    return b"\x18\0\0\0TFL3\0\0\0\0\x0c\0\x14\0\x04\0\x08\0\x0c\0\x10\0\x0c\0\0\0\x03\0\0\0" + bytes(24)
