"""Every format under six damages: how each is made, what is said of it, and what is still listed.

A cell that has no meaning says why. `library` is the reader that the test asks; where it is none, the answer was taken
from the real library by hand (TFLite: TensorFlow 2.21, CoreML: coremltools 9.0, Zarr: tensorstore 0.1.86, fastText
0.9.2, TensorFlow.js: tensorflowjs 4.22).
"""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import torch
from safetensors.torch import save

from tests.builders import damages as of
from tests.builders.damages import HUGE, STATE, packed, put, swapped
from tests.builders.format_samples import fasttext
from tests.builders.gguf_files import Row, header, padded
from tests.conftest import REPOSITORY, SAMPLES
from tests.core.test_pickle_containers import _torch_tar
from tests.fuzz.directory_seeds import distributed, zarr_arrays

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[Path], Path]

DATA = REPOSITORY / "tests" / "data"
DAMAGES = ("cut", "count", "overlap", "magic", "after", "foreign")
ALONE = "the file stands alone: nothing in it names another one"
IN_ROW = "what it holds lies in a row, without places that could overlap"


@dataclass(frozen=True)
class Cell:
    """One damaged input and what is expected of it."""

    make: Make
    verdict: str
    rule: str
    listed: int = 2
    """Tensors that are still listed."""

    library: str = ""
    """The reader of `LIBRARIES` that must refuse it where the verdict is `fails`, and else read it."""


def _file(name: str, data: bytes | Callable[[], bytes]) -> Make:
    def make(place: Path) -> Path:
        (place / name).write_bytes(data if isinstance(data, bytes) else data())
        return place / name

    return make


def _five(name: str, whole: Callable[[], bytes], library: str, **cells: Cell | str) -> dict[str, Cell | str]:
    """A row whose cut, magic and trailing bytes are those of most formats."""
    return {
        "magic": Cell(_file(name, lambda: b"\xff" * 8 + whole()[8:]), "fails", "file-not-a-checkpoint", 0, library),
        "foreign": ALONE, **cells,
    }  # fmt: skip


def _in(root: Path, name: str, change: Callable[[bytes], bytes], inside: str = "copy") -> Make:
    """A directory that is kept, with one file changed."""

    def make(place: Path) -> Path:
        shutil.copytree(root, place / inside)
        path = place / inside / name
        path.write_bytes(change(path.read_bytes()))
        return place / inside

    return make


def _hdf5(name: str, change: Callable[[bytes, dict[str, int]], bytes]) -> Make:
    def make(place: Path) -> Path:
        data, places = of.hdf5(place / name)
        (place / name).write_bytes(change(data, places))
        return place / name

    return make


def _moved(data: bytes, places: dict[str, int]) -> bytes:
    """The second dataset begins within the first."""
    return swapped(data, struct.pack("<QQ", places["b"], 256), struct.pack("<QQ", places["a"] + 64, 256))


def _dcp(change: Callable[[Any], None] | None = None, data: Callable[[bytes], bytes] | None = None) -> Make:
    def make(place: Path) -> Path:
        root = distributed(place / "step")
        if change is not None:
            metadata = pickle.loads((root / ".metadata").read_bytes())
            change(metadata)
            (root / ".metadata").write_bytes(pickle.dumps(metadata))
        if data is not None:
            (root / "__0_0.distcp").write_bytes(data((root / "__0_0.distcp").read_bytes()))
        return root

    return make


def _key(metadata: Any, name: str) -> Any:
    return next(key for key in metadata.storage_data if key.fqn == name)


def _same_piece(metadata: Any) -> None:
    """The piece of `b` is said to begin where that of the step's number does: at another archive."""
    metadata.storage_data[_key(metadata, "b")].offset = metadata.storage_data[_key(metadata, "a")].offset


def _huge_tensor(metadata: Any) -> None:
    metadata.state_dict_metadata["b"].size = torch.Size([HUGE])


def _with(make: Make, name: str, change: Callable[[bytes], bytes]) -> Make:
    """What `make` makes, with one of its files changed."""

    def made(place: Path) -> Path:
        path = make(place)
        target = (path if path.is_dir() else path.parent) / name
        target.write_bytes(change(target.read_bytes()))
        return path

    return made


def _zarr(name: str, change: Callable[[bytes], bytes]) -> Make:
    return _with(lambda place: zarr_arrays(place / "step"), f"default/{name}", change)


def _sharded(kind: str, second: dict[str, Any], change: Callable[[bytes], bytes] = bytes) -> Make:
    """Two shards with their index, which names `b` in the second."""

    def make(place: Path) -> Path:
        stem, end = ("model", "safetensors") if kind == "safetensors" else ("pytorch_model", "bin")
        names = [f"{stem}-0000{number}-of-00002.{end}" for number in (1, 2)]
        for name, state in zip(names, ({"a": STATE["a"]}, second), strict=True):
            data = bytes(save(state)) if kind == "safetensors" else of.saved(state)
            (place / name).write_bytes(change(data) if name == names[1] else data)
        index = {"metadata": {}, "weight_map": {"a": names[0], "b": names[1]}}
        (place / f"{stem}.{end}.index.json").write_text(json.dumps(index), "utf-8")
        (place / "config.json").write_text('{"model_type": "bert"}', "utf-8")
        return place

    return make


def _ranks(layout: str, second: dict[str, Any], change: Callable[[bytes], bytes] = bytes) -> Make:
    def make(place: Path) -> Path:
        for number, state in enumerate((STATE, second)):
            name = f"mp_rank_0{number}/model_optim_rng.pt" if layout == "megatron" else f"consolidated.0{number}.pth"
            path = place / "it" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(change(of.saved(state)) if number else of.saved(state))
        (place / "it" / "params.json").write_text("{}", "utf-8")
        return place / "it"

    return make


def _split(second: bytes) -> Make:
    def make(place: Path) -> Path:
        pairs = [*of.PAIRS, ("split.no", 2, 0), ("split.count", 2, 2), ("split.tensors.count", 5, 3)]
        first = padded(header(of.ROWS, pairs), 1024)
        for number, data in enumerate((first, second), 1):
            (place / f"m-0000{number}-of-00002.gguf").write_bytes(data)
        return place

    return make


def _part(number: int, name: str = "c") -> bytes:
    pairs = [("general.architecture", 8, "llama"), ("split.no", 2, number), ("split.count", 2, 2)]
    return padded(header([(name, (32,), 0, 0)], pairs), 128)


def _joblib() -> bytes:
    import io

    joblib = pytest.importorskip("joblib")
    buffer = io.BytesIO()
    joblib.dump({"a": numpy.arange(64.0), "b": numpy.arange(32.0)}, buffer)
    return bytes(buffer.getvalue())


def _pickle() -> bytes:
    return pickle.dumps({"a": numpy.arange(64.0), "b": numpy.arange(32.0)})


def _keras() -> bytes:
    return (SAMPLES / "keras-custom-layer" / "model.h5").read_bytes()


def _archive() -> bytes:
    return (SAMPLES / "keras-lambda" / "model.keras").read_bytes()


def _tflite() -> bytes:
    return (DATA / "tflite" / "dense.tflite").read_bytes()


def _sentinel(data: bytes, number: int) -> int:
    """Where the description of a blob of CoreML begins."""
    at = -1
    for _ in range(number + 1):
        at = data.index(0xDEADBEEF.to_bytes(4, "little"), at + 1)
    return at


HALF = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
OVER = {"a": HALF, "b": {**HALF, "data_offsets": [8, 24]}}
MANY = {"a": HALF, "b": {**HALF, "shape": [HUGE, HUGE], "data_offsets": [16, 32]}}
PACKAGE, WEIGHTS = DATA / "coreml" / "net.mlpackage", "Data/com.apple.CoreML/weights/weight.bin"
MODEL = "Data/com.apple.CoreML/model.mlmodel"
OCDBT, SAVED = DATA / "orbax" / "inner-nodes", SAMPLES / "tfhub-bert-v3"
BIG = b"\x8a\x08" + struct.pack("<Q", HUGE) + b"\x85"
MORE: Callable[[bytes], bytes] = lambda data: data + b"more" * 10  # noqa: E731  # one of many small changes
CUT: Callable[[bytes], bytes] = lambda data: data[:-40]  # noqa: E731
STRANGE: Callable[[bytes], bytes] = lambda data: b"\xff" * 8 + data[8:]  # noqa: E731


def _counted(data: bytes) -> bytes:
    """A file of torch's old format in which a storage says that it is of 2^60 elements."""
    return put(data, data.rindex(struct.pack("<Q", 64)), struct.pack("<Q", HUGE))


def _gguf(version: int) -> dict[str, Cell | str]:
    def whole() -> bytes:
        return of.gguf(version=version)

    over: list[Row] = [of.ROWS[0], ("b.weight", (32, 4), 0, 256)]
    return _five(
        "m.gguf", whole, "gguf",
        cut=Cell(_file("m.gguf", lambda: CUT(whole())), "fails", "gguf-truncated", 2, "gguf"),
        count=Cell(_file("m.gguf", lambda: of.gguf(version=version, tensors=HUGE)), "fails", "gguf-invalid-header", 0, "gguf"),
        overlap=Cell(_file("m.gguf", lambda: of.gguf(over, version)), "degraded", "gguf-tensor-places", 2, "gguf"),
        after=Cell(_file("m.gguf", lambda: MORE(whole())), "loads", "gguf-trailing-bytes", 2, "gguf"),
    )  # fmt: skip


def _hdf5_row(end: str) -> dict[str, Cell | str]:
    name = f"m{end}"
    sizes = (struct.pack("<QQ", 8, 8), struct.pack("<QQ", HUGE, HUGE))
    return _five(
        name, _keras, "hdf5",
        magic=Cell(_file(name, lambda: STRANGE(_keras())), "fails", "hdf5-no-signature", 0, "hdf5"),
        cut=Cell(_hdf5(name, lambda data, _: CUT(data)), "fails", "hdf5-truncated", 0, "hdf5"),
        count=Cell(_hdf5(name, lambda data, _: data.replace(*sizes)), "fails", "hdf5-damaged", 2, "hdf5"),
        overlap=Cell(_hdf5(name, _moved), "degraded", "tensors-overlap", 2, "hdf5"),
        after=Cell(_hdf5(name, lambda data, _: MORE(data)), "loads", "bytes-after-end", 2, "hdf5"),
    )  # fmt: skip


TABLE: dict[str, dict[str, Cell | str]] = {
    "safetensors": _five(
        "m.safetensors", of.safetensors, "safetensors",
        cut=Cell(_file("m.safetensors", lambda: CUT(of.safetensors())), "fails", "safetensors-truncated", 2, "safetensors"),
        count=Cell(_file("m.safetensors", lambda: of.safetensors(MANY, bytes(32))), "fails", "safetensors-invalid-header", 2, "safetensors"),
        overlap=Cell(_file("m.safetensors", lambda: of.safetensors(OVER, bytes(24))), "fails", "safetensors-invalid-header", 2, "safetensors"),
        magic=Cell(_file("m.safetensors", lambda: STRANGE(of.safetensors())), "fails", "safetensors-invalid-header", 0, "safetensors"),
        after=Cell(_file("m.safetensors", lambda: MORE(of.safetensors())), "fails", "safetensors-trailing-bytes", 2, "safetensors"),
    ),
    "torch zip": _five(
        "m.pt", of.saved, "torch",
        cut=Cell(_file("m.pt", lambda: CUT(of.saved())), "fails", "zip-no-central-dir", 0, "torch"),
        count=Cell(_file("m.pt", lambda: packed(of.saved({"a": STATE["a"], "b": torch.ones(3)}), "data.pkl", lambda data: swapped(data, b"K@\x85", BIG))), "fails", "torch-tensor-outside-storage", 2, "torch"),
        overlap=Cell(_file("m.pt", lambda: of.one_place(of.saved(), "data/0", "data/1")), "degraded", "tensors-overlap", 2, "torch"),
        after=Cell(_file("m.pt", lambda: MORE(of.saved())), "loads", "bytes-after-end", 2, "torch"),
    ),
    "torch legacy": _five(
        "m.bin", lambda: of.saved(zipped=False), "torch",
        cut=Cell(_file("m.bin", lambda: CUT(of.saved(zipped=False))), "fails", "torch-legacy-truncated", 2, "torch"),
        count=Cell(_file("m.bin", lambda: _counted(of.saved({"a": STATE["a"], "b": torch.ones(3)}, zipped=False))), "fails", "torch-legacy-truncated", 2, "torch"),
        overlap=IN_ROW,
        after=Cell(_file("m.bin", lambda: MORE(of.saved(zipped=False))), "loads", "bytes-after-end", 2, "torch"),
    ),
    "torch tar": _five(
        "m.pth.tar", _torch_tar, "unpickle",
        cut=Cell(_file("m.pth.tar", lambda: _torch_tar()[:3000]), "fails", "file-truncated", 0, "unpickle"),
        count=Cell(_file("m.pth.tar", lambda: swapped(_torch_tar(), struct.pack("<q", 12), struct.pack("<q", HUGE))), "fails", "torch-legacy-truncated", 0, "unpickle"),
        overlap=IN_ROW,
        after="a tar ends with zeros of any number, and tools leave what follows alone",
    ),
    "TorchScript": _five(
        "m.pt", of.scripted, "jit",
        cut=Cell(_file("m.pt", lambda: CUT(of.scripted())), "fails", "zip-no-central-dir", 0, "jit"),
        count=Cell(_file("m.pt", lambda: packed(of.scripted(), "data.pkl", lambda data: swapped(data, b"(K\x08K\x08t", b"(\x8a\x08" + struct.pack("<Q", HUGE) + b"K\x08t"))), "fails", "torch-tensor-outside-storage", 2, "jit"),
        overlap=Cell(_file("m.pt", lambda: of.one_place(of.scripted(), "data/0", "data/1")), "degraded", "tensors-overlap", 2, "jit"),
        after=Cell(_file("m.pt", lambda: MORE(of.scripted())), "unknown", "bytes-after-end", 2, "jit"),
    ),
    "torch.export": _five(
        "m.pt2", of.exported, "export",
        cut=Cell(_file("m.pt2", lambda: CUT(of.exported())), "fails", "zip-record-corrupt", 0, "export"),
        count=Cell(_file("m.pt2", lambda: packed(of.exported(), "weights_config.json", lambda data: data.replace(b'"as_int": 8', b'"as_int": %d' % HUGE, 1))), "fails", "zip-record-corrupt", 2, "export"),
        overlap=Cell(_file("m.pt2", lambda: of.one_place(of.exported(), "weight_0", "weight_1")), "degraded", "tensors-overlap", 2, "export"),
        after=Cell(_file("m.pt2", lambda: MORE(of.exported())), "unknown", "bytes-after-end", 2, "export"),
        foreign=Cell(_file("m.pt2", lambda: packed(of.exported(), "weight_1", lambda data: data[:64])), "fails", "zip-record-corrupt", 2, "export"),
    ),
    "pickle": _five(
        "m.pkl", _pickle, "pickle",
        cut=Cell(_file("m.pkl", lambda: CUT(_pickle())), "fails", "pickle-broken", 1, "pickle"),
        count=Cell(_file("m.pkl", b"\x80\x04}\x8c\x01a\x8e" + struct.pack("<Q", HUGE) + b"abc"), "fails", "pickle-broken", 0, "pickle"),
        overlap=IN_ROW,
        after=Cell(_file("m.pkl", lambda: MORE(_pickle())), "unknown", "security-pickle-suspicious", 2, "pickle"),
    ),
    "joblib": _five(
        "m.joblib", _joblib, "joblib",
        cut=Cell(_file("m.joblib", lambda: CUT(_joblib())), "fails", "pickle-broken", 2, "joblib"),
        count=Cell(_file("m.joblib", lambda: _joblib().replace(b"K@\x85", BIG)), "fails", "pickle-broken", 0, "joblib"),
        overlap=IN_ROW,
        after=Cell(_file("m.joblib", lambda: MORE(_joblib())), "unknown", "security-pickle-suspicious", 2, "joblib"),
    ),
    "GGUF v2": _gguf(2), "GGUF v3": _gguf(3),
    "GGUF v1": {
        **dict.fromkeys(("overlap", "after"), "no reader of today gets so far"), "foreign": ALONE,
        "cut": Cell(_file("m.gguf", lambda: CUT(of.gguf(version=1))), "fails", "gguf-truncated", 2, "gguf"),
        "count": Cell(_file("m.gguf", lambda: of.gguf(version=1, tensors=1 << 31)), "fails", "gguf-truncated", 0, "gguf"),
        "magic": Cell(_file("m.gguf", lambda: STRANGE(of.gguf(version=1))), "fails", "file-not-a-checkpoint", 0, "gguf"),
    },
    "GGUF split": {
        **dict.fromkeys(("count", "overlap", "magic", "after"), "as of a file of its own"),
        "cut": Cell(_split(CUT(_part(1))), "fails", "gguf-truncated", 3),
        "foreign": Cell(_split(_part(1, "a.weight")), "degraded", "gguf-split-mixed", 2),
    },
    "ONNX": {
        "cut": Cell(_file("m.onnx", lambda: CUT((SAMPLES / "onnx-external-missing" / "model.onnx").read_bytes())), "fails", "onnx-damaged", 1, "onnx"),
        "count": "`test_absurd_counts_are_refused_without_their_memory`: dims and lengths",
        "overlap": "initialisers lie one after another", "foreign": ALONE,
        "magic": Cell(_file("m.onnx", lambda: STRANGE((SAMPLES / "onnx-external-missing" / "model.onnx").read_bytes())), "fails", "onnx-damaged", 0, "onnx"),
        "after": Cell(_file("m.onnx", lambda: MORE((SAMPLES / "onnx-external-missing" / "model.onnx").read_bytes())), "fails", "onnx-damaged", 1, "onnx"),
    },
    "ONNX external data": {
        "cut": Cell(_with(of.external, "m.bin", CUT), "fails", "onnx-external-truncated", 2, "onnx"),
        "count": Cell(lambda place: of.external(place, offset=HUGE), "fails", "onnx-external-truncated", 2, "onnx"),
        "overlap": Cell(lambda place: of.external(place, offset=32), "degraded", "tensors-overlap", 2, "onnx"),
        "magic": "it has none", "after": "other models may keep their weights in the same file",
        "foreign": Cell(lambda place: of.external(place, length=32), "degraded", "onnx-external-size", 2, "onnx"),
    },
    "npy": _five(
        "m.npy", of.array, "numpy",
        cut=Cell(_file("m.npy", lambda: CUT(of.array())), "fails", "numpy-truncated", 1, "numpy"),
        count=Cell(_file("m.npy", of.array_of((HUGE, HUGE))), "fails", "numpy-truncated", 1, "numpy"),
        overlap=IN_ROW,
        after=Cell(_file("m.npy", lambda: MORE(of.array())), "loads", "numpy-trailing-bytes", 1, "numpy"),
    ),
    "npz": _five(
        "m.npz", of.arrays, "numpy",
        cut=Cell(_file("m.npz", lambda: CUT(of.arrays())), "fails", "zip-no-central-dir", 0, "numpy"),
        count=Cell(_file("m.npz", lambda: packed(of.arrays(), "b.npy", lambda data: of.array_of((HUGE, HUGE)))), "fails", "numpy-truncated", 2, "numpy"),
        overlap=Cell(_file("m.npz", lambda: of.one_place(of.arrays(), "a.npy", "b.npy")), "fails", "zip-record-corrupt", 1, "numpy"),
        after=Cell(_file("m.npz", lambda: MORE(of.arrays())), "loads", "bytes-after-end", 2, "numpy"),
    ),
    "Flax": _five(
        "m.msgpack", of.flax, "flax",
        cut=Cell(_file("m.msgpack", lambda: CUT(of.flax())), "fails", "flax-damaged", 1, "flax"),
        count=Cell(_file("m.msgpack", lambda: of.flax(HUGE)), "fails", "flax-damaged", 1, "flax"),
        overlap=IN_ROW,
        after=Cell(_file("m.msgpack", lambda: MORE(of.flax())), "fails", "flax-damaged", 2, "flax"),
    ),
    "Orbax, Zarr": {
        "cut": Cell(_zarr("a/0.0", CUT), "fails", "orbax-data-missing", 3),
        "count": Cell(_zarr("a/.zarray", lambda data: data.replace(b"[8, 8]", b"[%d, 8]" % HUGE, 1)), "fails", "orbax-array-header", 3),
        "overlap": "each chunk is a file of its own",
        "magic": Cell(_zarr("a/.zarray", STRANGE), "fails", "orbax-array-header", 2),
        "after": Cell(_zarr("a/0.0", MORE), "fails", "orbax-data-missing", 3),
        "foreign": Cell(_zarr("a/.zarray", lambda data: data.replace(b"[8, 8]", b"[16, 8]", 1)), "unknown", "orbax-chunks-missing", 3),
    },
    "Orbax, OCDBT": {
        "cut": Cell(_in(OCDBT, "manifest.ocdbt", CUT), "fails", "orbax-manifest-damaged", 0),
        "count": "`test_counts_of_two_to_the_sixtieth_and_paths_that_lead_outside`",
        "overlap": "values share bytes on purpose: a version keeps what the one before wrote",
        "magic": Cell(_in(OCDBT, "manifest.ocdbt", STRANGE), "fails", "orbax-manifest-damaged", 0),
        "after": Cell(_in(OCDBT, "manifest.ocdbt", MORE), "fails", "orbax-manifest-damaged", 0),
        "foreign": Cell(_in(OCDBT, "manifest.ocdbt", lambda data: (DATA / "orbax" / "pytree" / "manifest.ocdbt").read_bytes()), "fails", "orbax-data-missing", 0),
    },
    "fastText": _five(
        "m.bin", fasttext, "",
        cut=Cell(_file("m.bin", lambda: fasttext()[:-8]), "degraded", "fasttext-cut-unnoticed", 2),
        count=Cell(_file("m.bin", lambda: swapped(fasttext(), struct.pack("<qq", 12, 3), struct.pack("<qq", HUGE, 3))), "fails", "fasttext-damaged", 1),
        overlap=IN_ROW,
        after=Cell(_file("m.bin", lambda: MORE(fasttext())), "unknown", "bytes-after-end"),
    ),
    "TensorFlow.js": {
        "cut": Cell(lambda place: of.tensorflow_js(place, size=500), "fails", "layout-part-missing"),
        "count": Cell(lambda place: of.tensorflow_js(place, rows=HUGE), "fails", "layout-part-missing"),
        "overlap": "the manifest gives no places: weights lie one after another",
        "magic": Cell(_with(of.tensorflow_js, "model.json", STRANGE), "fails", "json-invalid", 0),
        "after": Cell(lambda place: of.tensorflow_js(place, size=552), "unknown", "bytes-after-end"),
        "foreign": Cell(lambda place: of.tensorflow_js(place, size=100), "fails", "layout-part-missing"),
    },
    "TFLite": _five(
        "m.tflite", _tflite, "",
        cut=Cell(_file("m.tflite", lambda: _tflite()[:-12]), "fails", "tflite-damaged"),
        count=Cell(_file("m.tflite", lambda: swapped(_tflite(), struct.pack("<3I", 2, 20, 20), struct.pack("<3I", 2, (1 << 31) - 1, (1 << 31) - 1))), "fails", "tflite-damaged"),
        overlap=Cell(_file("m.tflite", lambda: swapped(_tflite(), struct.pack("<I", 80), struct.pack("<I", 300))), "degraded", "tensors-overlap"),
        after="a zip of labels is appended to a model that has some",
    ),
    "CoreML model": _five(
        "m.mlmodel", (DATA / "coreml" / "net.mlmodel").read_bytes, "",
        cut=Cell(_file("m.mlmodel", lambda: CUT((DATA / "coreml" / "net.mlmodel").read_bytes())), "fails", "coreml-damaged", 0),
        count="`test_absurd_counts_are_refused_without_their_memory`", overlap=IN_ROW,
        after=Cell(_file("m.mlmodel", lambda: MORE((DATA / "coreml" / "net.mlmodel").read_bytes())), "fails", "coreml-damaged", 0),
    ),
    "CoreML package": {
        "cut": Cell(_in(PACKAGE, WEIGHTS, lambda data: data[:-240]), "fails", "coreml-weights-damaged", 3),
        "count": Cell(_in(PACKAGE, WEIGHTS, lambda data: put(data, _sentinel(data, 0) + 8, struct.pack("<Q", HUGE))), "fails", "coreml-weights-damaged", 3),
        "overlap": Cell(_in(PACKAGE, WEIGHTS, lambda data: put(data, _sentinel(data, 1) + 16, struct.pack("<Q", _sentinel(data, 0) + 64))), "degraded", "tensors-overlap", 3),
        "magic": Cell(_in(PACKAGE, WEIGHTS, STRANGE), "fails", "coreml-weights-damaged", 3),
        "after": Cell(_in(PACKAGE, WEIGHTS, MORE), "unknown", "bytes-after-end", 3),
        "foreign": Cell(_in(PACKAGE, WEIGHTS, lambda data: put(data, _sentinel(data, 0) + 8, struct.pack("<Q", 100))), "fails", "coreml-weights-damaged", 3),
    },
    ".h5": _hdf5_row(".h5"), ".weights.h5": _hdf5_row(".weights.h5"),
    ".keras": _five(
        "m.keras", _archive, "",
        cut=Cell(_file("m.keras", lambda: CUT(_archive())), "fails", "keras-archive-damaged", 0),
        count="as of the HDF5 file inside",
        overlap=Cell(_file("m.keras", lambda: of.one_place(_archive(), "config.json", "model.weights.h5")), "fails", "keras-archive-damaged", 0),
        magic=Cell(_file("m.keras", lambda: STRANGE(_archive())), "fails", "keras-metadata", 2),
        after=Cell(_file("m.keras", lambda: MORE(_archive())), "fails", "bytes-after-end", 2),
    ),
    "tensor bundle": {
        "cut": Cell(_with(of.bundle, "m.ckpt.data-00000-of-00001", CUT), "fails", "tensorflow-shard-truncated", 2, "bundle"),
        "count": Cell(lambda place: of.bundle(place, rows=HUGE), "fails", "tensorflow-index-damaged"),  # its allocator waits 10 s
        "overlap": Cell(lambda place: of.bundle(place, offset=128), "degraded", "tensors-overlap", 2, "bundle"),
        "magic": Cell(_with(of.bundle, "m.ckpt.index", lambda data: data[:-8] + b"\xff" * 8), "fails", "tensorflow-index-damaged", 0, "bundle"),
        "after": Cell(_with(of.bundle, "m.ckpt.data-00000-of-00001", MORE), "loads", "bytes-after-end", 2, "bundle"),
        "foreign": Cell(lambda place: of.bundle(place, shards=2), "fails", "tensorflow-shard-missing", 2, "bundle"),
    },
    "SavedModel": {
        "cut": Cell(_in(SAVED, "saved_model.pb", CUT), "fails", "tensorflow-pb-damaged", 4),
        "count": Cell(_in(SAVED, "saved_model.pb", lambda data: b"\x08\x01\x12" + b"\x80" * 8 + b"\x10" + data[5:]), "fails", "tensorflow-pb-damaged", 4),
        "overlap": "as of its tensor bundle",
        "magic": Cell(_in(SAVED, "saved_model.pb", STRANGE), "fails", "tensorflow-pb-damaged", 4),
        "after": Cell(_in(SAVED, "saved_model.pb", MORE), "fails", "tensorflow-pb-damaged", 4),
        "foreign": Cell(_in(SAVED, "variables/variables.index", lambda data: (SAMPLES / "google-bert-checkpoint" / "bert_model.ckpt.index").read_bytes()), "fails", "tensorflow-shard-truncated", -1),
    },
    "torch.distributed": {
        "cut": Cell(_dcp(data=CUT), "fails", "dist-shard-missing", 2, "distributed"),
        "count": Cell(_dcp(_huge_tensor), "fails", "dist-shard-damaged", 2, "distributed"),
        "overlap": Cell(_dcp(_same_piece), "degraded", "tensors-overlap", 2, "distributed"),
        "magic": Cell(_with(_dcp(), ".metadata", STRANGE), "fails", "pickle-broken", 0, "distributed"),
        "after": Cell(_dcp(data=MORE), "loads", "bytes-after-end", 2, "distributed"),
        "foreign": Cell(_dcp(data=lambda data: data[:100] + data), "fails", "dist-shard-damaged", 2, "distributed"),
    },
    **{f"sharded {kind}": {
        **dict.fromkeys(("count", "overlap", "magic", "after"), "as of a file of its own"),
        "cut": Cell(_sharded(kind, {"b": STATE["b"]}, CUT), "fails", rule, listed),
        "foreign": Cell(_sharded(kind, {"other": torch.ones(3)}), "unknown", "shard-index-stale", 2),
    } for kind, rule, listed in (("safetensors", "safetensors-truncated", 2), ("torch", "zip-no-central-dir", 1))},
    **{layout: {
        **dict.fromkeys(("count", "overlap", "magic", "after"), "as of a file of its own"),
        "cut": Cell(_ranks(layout, STATE, CUT), "fails", "zip-no-central-dir", 2),
        "foreign": Cell(_ranks(layout, {"a": torch.ones(3), "c": STATE["b"]}), "degraded", "dist-rank-differs", 3),
    } for layout in ("megatron", "consolidated")},
}  # fmt: skip
