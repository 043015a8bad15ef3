"""Every format under six damages (`damage_table.py`): a located message, the verdict its own library confirms."""

from __future__ import annotations

import pickle
import warnings
from typing import TYPE_CHECKING

import numpy
import pytest
import torch
from torch.distributed.checkpoint.api import CheckpointException

from tests.core.damage_table import DAMAGES, TABLE, Cell
from tui.core.assemble import read_directory, read_one_file
from tui.core.diagnosis.evidence import Evidence
from tui.core.report.model import Triage, triage_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _torch(path: Path) -> object:
    return torch.load(path, weights_only=True)


def _flax(path: Path) -> object:
    msgpack = pytest.importorskip("msgpack")

    def array(code: int, data: bytes) -> object:
        shape, dtype, held = msgpack.unpackb(data, raw=True)
        return numpy.frombuffer(held, numpy.dtype(dtype.decode())).reshape(shape)

    return msgpack.unpackb(path.read_bytes(), ext_hook=array, raw=False)


def _numpy(path: Path) -> object:
    value = numpy.load(path)
    return [value[name] for name in value.files] if hasattr(value, "files") else value


def _onnx(path: Path) -> object:
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(str(path))
    return onnx.load(path)


def _datasets(path: Path) -> object:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        return [numpy.asarray(file[name]) for name in file]


def _bundle(path: Path) -> object:
    tensorflow = pytest.importorskip("tensorflow")
    reader = tensorflow.train.load_checkpoint(str(path / "m.ckpt"))
    return [reader.get_tensor(name) for name in reader.get_variable_to_shape_map()]


def _distributed(path: Path) -> object:
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    return dcp_to_torch_save(path, path.parent / "merged.pt")


def _safetensors(path: Path) -> object:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return [file.get_tensor(name) for name in list(file.keys())]


LIBRARIES: dict[str, Callable[[Path], object]] = {
    "safetensors": _safetensors, "torch": _torch, "unpickle": lambda path: torch.load(path, weights_only=False),
    "jit": torch.jit.load, "export": torch.export.load, "pickle": lambda path: pickle.loads(path.read_bytes()),
    "joblib": lambda path: pytest.importorskip("joblib").load(path),
    "gguf": lambda path: pytest.importorskip("gguf").GGUFReader(path), "onnx": _onnx, "numpy": _numpy, "flax": _flax,
    "hdf5": _datasets, "bundle": _bundle, "distributed": _distributed,
}  # fmt: skip
CELLS = [(name, damage) for name, row in TABLE.items() for damage, cell in row.items() if isinstance(cell, Cell)]


def test_every_format_has_every_damage_or_says_why_not() -> None:
    for name, row in TABLE.items():
        assert set(row) == set(DAMAGES), name


def _check(path: Path) -> Triage:
    checkpoint = read_directory(path, path.name) if path.is_dir() else read_one_file(path, path.name)
    return triage_of(Evidence(checkpoint))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "damage"), CELLS, ids=[f"{name}-{damage}" for name, damage in CELLS])
def test_damage_is_said_with_its_place_and_as_the_library_takes_it(tmp_path: Path, name: str, damage: str) -> None:
    cell = TABLE[name][damage]
    assert isinstance(cell, Cell)
    if name in (".h5", ".weights.h5"):
        pytest.importorskip("h5py")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = cell.make(tmp_path)
    triage = _check(path)
    found = [item for item in triage.findings if item.rule == cell.rule]
    assert found, [item.rule for item in triage.findings]
    assert all(item.file for item in found)
    assert triage.verdict == cell.verdict
    if cell.listed >= 0:
        assert len({tensor.name for tensor in triage.checkpoint.tensors}) == cell.listed
    if not cell.library:
        return
    try:
        LIBRARIES[cell.library](path)
    except (Exception, CheckpointException) as error:  # whatever the library raises is its answer
        assert cell.verdict == "fails", error
    else:
        assert cell.verdict != "fails"
