from __future__ import annotations

import argparse
import collections
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tui.core.formats import read_file
from tui.core.formats.pickles.allowed import TORCH_ALLOWED
from tui.core.tensors import TORCH_DTYPES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loader


def _state() -> dict[str, Any]:
    torch.manual_seed(0)
    base = torch.arange(24, dtype=torch.float32)
    return {
        "f32": torch.randn(3, 4),
        "bf16": torch.randn(5).to(torch.bfloat16),
        "fp8": torch.randn(4).to(torch.float8_e4m3fn),
        "u16": torch.ones(2, dtype=torch.uint16),
        "bool": torch.tensor([True, False]),
        "c64": torch.zeros(2, 2, dtype=torch.complex64),
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        "transposed": torch.randn(3, 4).t(),
        "view_a": base[:12].view(3, 4),
        "view_b": base[12:],
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "half": torch.randn(2, 2).half(),
    }


FORMS: dict[str, dict[str, Any]] = {
    "zip": {},
    "legacy": {"_use_new_zipfile_serialization": False},
    "protocol 4": {"pickle_protocol": 4},
}


@pytest.mark.parametrize("form", FORMS)
def test_tensors_equal_what_torch_loads(tmp_path: Path, form: str) -> None:
    path = tmp_path / "pytorch_model.bin"
    state = _state()
    if form == "legacy":
        del state["u16"], state["fp8"]  # torch 2.13 writes them and cannot read them back
    torch.save(state, path, **FORMS[form])
    loaded = torch.load(path, weights_only=False)
    report = read_file(path, path.name)
    assert not report.problems
    assert report.pickle is not None
    assert report.pickle.level == "tensors_only"
    found = {tensor.name: tensor for tensor in report.tensors}
    assert list(found) == list(loaded)
    for name, value in loaded.items():
        assert found[name].shape == tuple(value.shape), name
        assert found[name].stride == tuple(value.stride()), name
        assert found[name].dtype == TORCH_DTYPES[str(value.dtype).removeprefix("torch.")], name
    assert found["view_a"].storage == found["view_b"].storage


def _objects() -> dict[str, Any]:
    return {
        "state dict": {"w": torch.ones(2)},
        "ordered": collections.OrderedDict(w=torch.ones(2)),
        "nested": {"state_dict": {"w": torch.ones(2)}, "epoch": 3},
        "module": torch.nn.Linear(2, 3),
        "namespace": argparse.Namespace(lr=0.1),
        "numpy scalar": {"loss": np.float64(0.5)},
        "numpy array": {"a": np.ones(3)},
        "set": {"s": {1, 2}, "t": torch.ones(1)},
        "tensor alone": torch.ones(4),
        "list": [torch.ones(1), torch.ones(2)],
        "sparse": {"s": torch.eye(3).to_sparse()},
        "bytes": {"b": b"abc", "w": torch.ones(1)},
        "big int": {"n": 2**80, "w": torch.ones(1)},
        "size": {"s": torch.Size([1, 2]), "d": torch.device("cpu"), "t": torch.float16},
        "counter": collections.Counter("aab"),
        "generator state": {"rng": torch.get_rng_state()},
    }


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("name", list(_objects()))
def test_weights_only_is_predicted(tmp_path: Path, name: str, form: str) -> None:
    path = tmp_path / "file.pt"
    torch.save(_objects()[name], path, **FORMS[form])
    said: str | None = None
    try:
        torch.load(path, weights_only=True)
    except pickle.UnpicklingError as error:
        said = str(error)
    pickled = read_file(path, path.name).pickle
    assert pickled is not None
    predicted = pickled.weights_only_error
    assert (predicted is None) == (said is None), (predicted, said)
    if predicted is not None and said is not None:
        kind = predicted[1].strip().splitlines()[-1].split("Unsupported")[-1][:60]
        assert kind in said


def test_the_allow_list_is_torchs_own() -> None:
    from torch._weights_only_unpickler import _get_allowed_globals

    assert set(_get_allowed_globals()) == TORCH_ALLOWED


def test_a_whole_module_needs_its_class(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU()), path)
    report = read_file(path, path.name)
    assert report.pickle is not None
    assert report.pickle.level == "needs_code"
    assert "torch.nn.modules.linear.Linear" in report.pickle.unlisted
    assert {tensor.name: tensor.shape for tensor in report.tensors} == {"0.weight": (3, 2), "0.bias": (3,)}


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_cut_file_is_refused_as_torch_refuses_it(tmp_path: Path, form: str) -> None:
    whole = tmp_path / "whole.bin"
    torch.save({"w": torch.ones(500)}, whole, **FORMS[form])
    data = whole.read_bytes()
    for share in (0.2, 0.5, 0.9, 0.999):
        path = tmp_path / "pytorch_model.bin"
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
            torch.load(path, weights_only=True)
        assert read_file(path, path.name).fatal is not None, share


def test_a_record_of_the_wrong_size_is_found(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"w": torch.ones(500)}, path)
    damaged = tmp_path / "damaged.bin"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(damaged, "w") as target:
        for item in source.infolist():
            data = source.read(item)
            target.writestr(item.filename, data[:100] if item.filename.endswith("data/0") else data)
    problem = read_file(damaged, damaged.name).fatal
    assert problem is not None
    assert problem.code == "zip-record-corrupt"


def test_torchscript_is_named_and_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.jit.script(torch.nn.Linear(2, 3)).save(str(path))
    report = read_file(path, path.name)
    assert report.format == "torchscript"
    with pytest.raises(RuntimeError, match="TorchScript"):
        torch.load(path, weights_only=True)
    assert report.pickle is not None
    assert report.pickle.weights_only_error is not None


def _rezipped(path: Path, change: Any) -> Path:
    """The archive with its members passed through `change(name, data)`, which gives pairs."""
    target = path.with_name("changed.bin")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
        for item in source.infolist():
            for name, data in change(item.filename, source.read(item)):
                out.writestr(name, data)
    return target


EVIL = b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R."


@pytest.mark.parametrize("name", ["DATA.PKL", "Data.pkl"])
def test_a_second_pickle_under_another_case_is_judged_too(tmp_path: Path, name: str) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"w": torch.ones(2)}, path)

    def change(member: str, data: bytes) -> list[tuple[str, bytes]]:
        evil = [(member.replace("data.pkl", name), EVIL)] if member.endswith("data.pkl") else []
        return [(member, data), *evil]

    report = read_file(_rezipped(path, change), "changed.bin")
    assert report.pickle is not None
    assert report.pickle.level == "dangerous"
    assert "zip-duplicate-member" in [problem.code for problem in report.problems]


CHANGES = {
    "a view beyond its storage": lambda name, data: [(name, data.replace(b"K\x02K\x03\x86", b"K\xc8K\x03\x86"))],
    "a stray member": lambda name, data: [(name, data)] + ([("other/x", b"1")] if name.endswith("version") else []),
    "no version": lambda name, data: [] if name.endswith("/version") else [(name, data)],
    "no root": lambda name, data: [(name.partition("/")[2], data)],
}


@pytest.mark.parametrize("case", CHANGES)
def test_archives_that_torch_refuses_are_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"w": torch.ones(2, 3)}, path)
    changed = _rezipped(path, CHANGES[case])
    with pytest.raises((RuntimeError, ValueError)):
        torch.load(changed, weights_only=True)
    assert read_file(changed, changed.name).fatal is not None
