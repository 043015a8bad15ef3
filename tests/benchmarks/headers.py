"""Headers of fifty thousand tensors, one file in each format, against the format's own library.

Both sides are asked for the same: name, shape and dtype of every tensor. Ours takes the offsets too, and checks what
it reads; theirs takes the arrays too where the library knows no other way. What is compared is the processor time of a
call in one process, the library imported before, in a model of sixteen shapes.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.benchmarks.measure import Row, median_pair, paint, seconds, tool
from tests.builders.checkpoints import write_safetensors
from tui.core.formats import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 50_000
SHAPES = 16
_HEADER = "import json, sys\nf = open(sys.argv[1], 'rb')\njson.loads(f.read(int.from_bytes(f.read(8), 'little')))"

_Asked = Callable[[], int]
"""Asks a library for every tensor of a file, and says how many there were."""


def _shapes(separator: str = ".") -> dict[str, tuple[int, int]]:
    """As a model of experts has them: 500 layers of a hundred."""
    out = {}
    for number in range(COUNT):
        parts = ("model", "layers", str(number // 100), "experts", f"{number % 100}_weight")
        out[separator.join(parts)] = (number % SHAPES + 1, 4)
    return out


def _arrays(separator: str = ".") -> dict[str, Any]:
    import numpy

    ones: list[Any] = [numpy.ones((number + 1, 4), "float32") for number in range(SHAPES)]
    return {name: ones[shape[0] - 1] for name, shape in _shapes(separator).items()}


def _safetensors(place: Path) -> tuple[Path, _Asked]:
    from safetensors import safe_open

    file = place / "model.safetensors"
    write_safetensors(file, {name: ("F32", shape) for name, shape in _shapes().items()})

    def official() -> int:
        with safe_open(file, "np") as opened:
            slices = ((name, opened.get_slice(name)) for name in opened.keys())  # noqa: SIM118
            return len([(name, item.get_shape(), item.get_dtype()) for name, item in slices])

    return file, official


def _gguf(place: Path) -> tuple[Path, _Asked]:
    import gguf

    file = place / "model.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    for name, array in _arrays().items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    def official() -> int:
        tensors = gguf.GGUFReader(file).tensors
        return len([(item.name, item.shape.tolist(), item.tensor_type) for item in tensors])

    return file, official


def _npz(place: Path) -> tuple[Path, _Asked]:
    import numpy

    file = place / "model.npz"
    numpy.savez(file, **_arrays())

    def official() -> int:
        found = []
        with numpy.load(file) as archive:
            for name in archive.zip.namelist():
                with archive.zip.open(name) as member:
                    numpy.lib.format.read_magic(member)
                    shape, _, dtype = numpy.lib.format.read_array_header_1_0(member)
                    found.append((name, shape, dtype))
        return len(found)

    return file, official


def _hdf5(place: Path) -> tuple[Path, _Asked]:
    import h5py

    file = place / "model.h5"
    with h5py.File(file, "w") as written:
        for name, array in _arrays("/").items():
            written[name] = array

    def official() -> int:
        found = []

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found.append((name, item.shape, item.dtype))

        with h5py.File(file) as opened:
            opened.visititems(note)
        return len(found)

    return file, official


def _torch(place: Path) -> tuple[Path, _Asked]:
    import torch

    file = place / "model.bin"
    torch.save({name: torch.ones(shape) for name, shape in _shapes().items()}, file)

    def official() -> int:
        loaded = torch.load(file, weights_only=True, mmap=True, map_location="meta")
        return len([(name, item.shape, item.dtype) for name, item in loaded.items()])

    return file, official


def _onnx(place: Path) -> tuple[Path, _Asked]:
    import onnx

    file = place / "model.onnx"
    initialisers = [onnx.numpy_helper.from_array(array, name) for name, array in _arrays().items()]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], initialisers)), file)

    def official() -> int:
        graph = onnx.load(file, load_external_data=False).graph
        return len([(item.name, tuple(item.dims), item.data_type) for item in graph.initializer])

    return file, official


def _flax(place: Path) -> tuple[Path, _Asked]:
    """As `flax.serialization.msgpack_restore` (flax 0.12) calls the package, for flax itself is not wanted for it."""
    import msgpack
    import numpy

    def packed(value: Any) -> Any:
        parts = (value.shape, value.dtype.name, value.tobytes())
        return msgpack.ExtType(1, msgpack.packb(parts, use_bin_type=True))

    def unpacked(code: int, data: bytes) -> Any:
        shape, dtype, buffer = msgpack.unpackb(data, raw=True)
        return numpy.frombuffer(buffer, numpy.dtype(dtype.decode())).reshape(shape, order="C")

    tree: dict[str, Any] = {}
    for name, array in _arrays("/").items():
        *parents, last = name.split("/")
        here = tree
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = array
    file = place / "flax_model.msgpack"
    file.write_bytes(msgpack.packb(tree, default=packed, strict_types=True))

    def flat(tree: dict[str, Any], path: str) -> Iterator[tuple[str, Any, Any]]:
        for key, value in tree.items():
            if isinstance(value, dict):
                yield from flat(value, f"{path}{key}/")
            else:
                yield path + key, value.shape, value.dtype

    def official() -> int:
        return len(list(flat(msgpack.unpackb(file.read_bytes(), ext_hook=unpacked, raw=False), "")))

    return file, official


def _bundle(place: Path) -> tuple[Path, _Asked]:
    import tensorflow as tf

    arrays = _arrays("/")
    prefix = str(place / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=list(arrays), shape_and_slices=[""] * COUNT, tensors=list(arrays.values())
    )

    def official() -> int:
        reader = tf.train.load_checkpoint(prefix)
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        return len([(name, shape, dtypes[name]) for name, shape in shapes.items()])

    return place / "model.ckpt.index", official


_FORMATS: tuple[tuple[str, str, str, Callable[[Path], tuple[Path, _Asked]]], ...] = (
    ("safetensors", "safe_open", "safetensors", _safetensors),
    ("GGUF", "GGUFReader", "gguf", _gguf),
    ("npz", "numpy's headers", "numpy", _npz),
    ("HDF5", "h5py's visititems", "h5py", _hdf5),
    ("torch zip", "torch.load with mmap onto meta", "torch", _torch),
    ("ONNX", "onnx.load", "onnx", _onnx),
    ("Flax msgpack", "msgpack_restore", "msgpack", _flax),
    ("tensor bundle", "load_checkpoint", "tensorflow", _bundle),
)
"""Format, what of the library is measured, the library's module, how the file is made."""


def headers(place: Path) -> Iterator[Row]:
    """A header of fifty thousand tensors in each format; one in a whole process, and in the UI."""
    for row in _FORMATS:
        yield _format(place, *row)
    file, _ = _safetensors(place)
    ours, bare = median_pair(
        lambda: seconds(*tool("inspect", "--json", str(file))),
        lambda: seconds(sys.executable, "-c", _HEADER, str(file)),
    )
    yield Row("inspect of 50,000 tensors, against json.loads", f"{ours / bare:.2f}× ({ours:.2f} s)", "≤ 2×")
    shown = paint(tool(str(file)), b"50,000 tensors", 1.0)
    yield Row("UI process with that file open", f"{shown.resident / 1e6:.0f} MB", "≤ 120 MB")


def _format(place: Path, kind: str, how: str, library: str, build: Callable[[Path], tuple[Path, _Asked]]) -> Row:
    """One format against its library, or that this is not installed."""
    what = f"header of 50,000 tensors: {kind}, against {how}"
    if importlib.util.find_spec(library) is None:
        return Row(what, f"{library} is not installed", "≤ 2×")
    directory = place / kind.replace(" ", "-")
    directory.mkdir()
    file, official = build(directory)
    gc.collect()
    gc.freeze()  # what a large library keeps is not walked again for each object made here
    ours, theirs = median_pair(lambda: _processor(lambda: _tensors(file)), lambda: _processor(official))
    return Row(what, f"{ours / theirs:.2f}× ({ours:.2f} s)", "≤ 2×")


def _tensors(file: Path) -> int:
    """How many tensors our reader finds in a sound file."""
    report = read_file(file, file.name)
    assert not report.problems, report.problems
    return len(report.tensors)


def _processor(call: _Asked) -> float:
    """Seconds of processor time that a call takes, which must find every tensor."""
    started = time.process_time()
    found = call()
    taken = time.process_time() - started
    assert found == COUNT, found
    return taken
