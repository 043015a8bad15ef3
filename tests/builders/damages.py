"""Small files of every format, written by their libraries where these are here, and ways to damage them."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy
import torch
from safetensors.torch import save

from tests.builders import gguf_files, tables
from tui.core.formats.tensorflow.crc32c import crc32c

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HUGE = 1 << 60
STATE = {"a": torch.arange(64.0), "b": torch.arange(64.0) + 100}
ROWS: list[gguf_files.Row] = [("a.weight", (32, 4), 0, 0), ("b.weight", (32, 4), 0, 512)]
PAIRS: list[tuple[str, int, Any]] = [("general.architecture", 8, "llama"), ("ids", 9, (5, list(range(20))))]


def put(data: bytes, at: int, new: bytes) -> bytes:
    """The data with other bytes at one place."""
    return data[:at] + new + data[at + len(new) :]


def swapped(data: bytes, old: bytes, new: bytes) -> bytes:
    """The data with the one occurrence of `old` replaced."""
    assert data.count(old) == 1, data.count(old)
    return data.replace(old, new)


def safetensors(rows: dict[str, Any] | None = None, data: bytes = b"") -> bytes:
    """A file of two tensors, or of what `rows` say."""
    if rows is None:
        return bytes(save(STATE))
    text = json.dumps(rows).encode()
    return struct.pack("<Q", len(text)) + text + data


def saved(value: Any = None, *, zipped: bool = True) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(STATE if value is None else value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def scripted() -> bytes:
    """A TorchScript archive of two tensors."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(8, 8)), buffer)
    return buffer.getvalue()


def exported() -> bytes:
    """A torch.export archive of two tensors of one size."""
    layers = torch.nn.Sequential(torch.nn.Linear(8, 8, bias=False), torch.nn.Linear(8, 8, bias=False))
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(layers, (torch.ones(1, 8),)), buffer)
    return buffer.getvalue()


def entries(data: bytes) -> dict[str, int]:
    """Where each entry of a zip's directory lies, by the member's name."""
    end = data.rfind(b"PK\5\6")
    count, _, at = struct.unpack_from("<HII", data, end + 10)
    if at == 0xFFFFFFFF:
        record = data.rfind(b"PK\6\6")
        count, _, at = struct.unpack_from("<QQQ", data, record + 32)
    out: dict[str, int] = {}
    for _ in range(count):
        name, extra, comment = struct.unpack_from("<HHH", data, at + 28)
        out[data[at + 46 : at + 46 + name].decode()] = at
        at += 46 + name + extra + comment
    return out


def one_place(data: bytes, first: str, second: str) -> bytes:
    """The archive whose directory leads from two members to the content of the first."""
    places = entries(data)
    one, two = (next(at for name, at in places.items() if name.endswith(end)) for end in (first, second))
    return put(put(data, two + 42, data[one + 42 : one + 46]), two + 16, data[one + 16 : one + 20])


def packed(data: bytes, ending: str, change: Callable[[bytes], bytes]) -> bytes:
    """The archive written again with one member changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        for item in source.infolist():
            held = source.read(item)
            target.writestr(zipfile.ZipInfo(item.filename), change(held) if item.filename.endswith(ending) else held)
    return buffer.getvalue()


def gguf(rows: list[gguf_files.Row] | None = None, version: int = 3, **changes: Any) -> bytes:
    """A file of two tensors."""
    return gguf_files.padded(gguf_files.header(ROWS if rows is None else rows, PAIRS, version=version, **changes), 1024)


def array(value: Any = None) -> bytes:
    """An `.npy`."""
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.arange(64.0) if value is None else value)
    return buffer.getvalue()


def array_of(shape: tuple[int, ...]) -> bytes:
    """An `.npy` of eight bytes whose header says another shape."""
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': " + str(shape) + ", }"
    return b"\x93NUMPY\1\0" + struct.pack("<H", 118) + text.ljust(117).encode() + b"\n" + bytes(8)


def arrays() -> bytes:
    """An `.npz` of two arrays of one size."""
    buffer = io.BytesIO()
    numpy.savez(buffer, a=numpy.arange(64.0), b=numpy.arange(64.0) + 9)
    return buffer.getvalue()


def hdf5(path: Path) -> tuple[bytes, dict[str, int]]:
    """An HDF5 file of two datasets, and where their bytes begin."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=numpy.arange(64, dtype="float32").reshape(8, 8))
        file.create_dataset("b", data=numpy.arange(64, dtype="float32") + 100)
    with h5py.File(path) as file:
        places = {name: int(file[name].id.get_offset()) for name in ("a", "b")}
    return path.read_bytes(), places


def external(place: Path, *, length: int = 64, offset: int = 64, rows: int = 4) -> Path:
    """An ONNX model of two tensors in `m.bin`; the second is where and as long as is said."""
    import onnx

    value = onnx.helper.make_tensor_value_info
    held = [onnx.numpy_helper.from_array(numpy.ones((4, 4), "float32"), name) for name in ("W", "V")]
    nodes = [onnx.helper.make_node("MatMul", ["x", "W"], ["h"]), onnx.helper.make_node("MatMul", ["h", "V"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [value("x", 1, [1, 4])], [value("y", 1, [1, 4])], held)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path = place / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="m.bin", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    second = model.graph.initializer[1]
    second.dims[0] = rows
    del second.external_data[:]
    for key, text in (("location", "m.bin"), ("offset", str(offset)), ("length", str(length))):
        entry = second.external_data.add()
        entry.key, entry.value = key, text
    path.write_bytes(model.SerializeToString())
    return path


def bundle(place: Path, *, rows: int = 64, offset: int = 256, size: int = 256, shards: int = 1) -> Path:
    """A tensor bundle of two tensors; the second is where and as large as is said."""
    data = numpy.arange(128, dtype="float32").tobytes()
    held = [(b"", tables.field(1, shards) + tables.field(3, tables.field(1, 1)))]
    for name, count, first, length in ((b"a", 64, 0, 256), (b"b", rows, offset, size)):
        body = tables.field(1, 1) + tables.field(2, tables.field(2, tables.field(1, count)))
        body += tables.field(4, first) if first else b""
        body += tables.field(5, length) + tables.varint(6 << 3 | 5)
        held.append((name, body + struct.pack("<I", tables.masked(crc32c(data[first : first + length])))))
    (place / "m.ckpt.index").write_bytes(tables.table(tables.block(held)))
    (place / "m.ckpt.data-00000-of-00001").write_bytes(data)
    return place


def flax(first: int = 64) -> bytes:
    """As `flax.serialization.to_bytes` writes two arrays; the first's size is what is said."""
    import msgpack

    def packed_array(size: int) -> Any:
        return msgpack.ExtType(1, msgpack.packb(([size], "float32", bytes(256)), use_bin_type=True))

    return bytes(msgpack.packb({"params": {"a": packed_array(64), "b": packed_array(first)}}))


def tensorflow_js(place: Path, *, rows: int = 64, size: int = 512) -> Path:
    """A model of TensorFlow.js in one shard of so many bytes."""
    weights = [{"name": "a", "shape": [64], "dtype": "float32"}, {"name": "b", "shape": [rows], "dtype": "float32"}]
    manifest = {"paths": ["group1-shard1of1.bin"], "weights": weights}
    document = {"format": "layers-model", "modelTopology": {}, "weightsManifest": [manifest]}
    (place / "model.json").write_text(json.dumps(document), "utf-8")
    (place / "group1-shard1of1.bin").write_bytes(bytes(size))
    return place
