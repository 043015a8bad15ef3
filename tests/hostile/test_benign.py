"""Files that mean no harm: few false alarms, and the tensors that `torch.load` gives, byte for byte."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import decimal
import importlib.util
import pathlib
import pickle
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy
import pytest
import torch
from torch import nn

from tui.core.checkpoint import LEVELS, FileReport
from tui.core.formats import read_file
from tui.core.tensors import TORCH_DTYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.loader, pytest.mark.filterwarnings("ignore")]
Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Settings:
    """What a training script keeps beside its weights."""

    rate: float = 0.1
    names: list[str] = dataclasses.field(default_factory=lambda: ["a"])


def _states() -> dict[str, Any]:
    torch.manual_seed(0)
    base = torch.arange(24, dtype=torch.float32)
    dtypes = [
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int8,
        torch.int64,
        torch.uint8,
        torch.bool,
        torch.complex64,
    ]
    return {
        "dtypes": {str(dtype): torch.ones(3, 2).to(dtype) for dtype in dtypes},
        "strides": {"t": base.view(4, 6).t(), "s": base[::3], "e": base.view(2, 3, 4).permute(2, 0, 1), "x": base[:1].expand(5)},
        "shared": {"a": base[:12], "b": base[12:].view(3, 4), "c": base},
        "odd sizes": {"scalar": torch.tensor(1.0), "none": torch.zeros(0, 3), "one": torch.ones(1, 1, 1)},
        "parameters": {"p": nn.Parameter(torch.ones(2)), "b": nn.Buffer(torch.ones(3))},
        "ordered": collections.OrderedDict(w=torch.ones(2), v=torch.ones(1)),
        "nested": {"model": {"w": torch.ones(2)}, "epoch": 3, "rng": torch.get_rng_state(), "loss": [0.1, 0.2]},
        "lightning": {"state_dict": {"m.w": torch.ones(2)}, "hyper_parameters": {"lr": 1e-3}, "pytorch-lightning_version": "2.6.0", "callbacks": {}, "loops": {"fit": {"n": 1}}},
    }  # fmt: skip


def _optimized() -> dict[str, Any]:
    model = nn.Linear(3, 2)
    out: dict[str, Any] = {}
    for kind in ("SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adamax", "NAdam", "RAdam"):
        optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.01)
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        out[kind] = {"optimizer": optimizer.state_dict(), "model": model.state_dict()}
    schedule = torch.optim.lr_scheduler.StepLR(torch.optim.SGD(model.parameters(), lr=0.1), 3)
    return {**out, "StepLR": {"scheduler": schedule.state_dict(), "model": model.state_dict()}}


def _modules() -> dict[str, Any]:
    return {
        "linear": nn.Linear(2, 3), "sequential": nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.BatchNorm1d(3)),
        "lstm": nn.LSTM(2, 3, 2), "conv": nn.Conv2d(1, 2, 3), "embedding": nn.Embedding(4, 2), "norm": nn.LayerNorm(4),
        "attention": nn.MultiheadAttention(4, 2), "transformer": nn.TransformerEncoderLayer(4, 2, 8), "list": nn.ModuleList([nn.Linear(1, 1)]),
        "dict": nn.ModuleDict({"a": nn.Linear(1, 2)}), "gru": nn.GRU(2, 2), "dropout": nn.Sequential(nn.Dropout(0.1), nn.Linear(1, 1)),
        "namespace": argparse.Namespace(lr=0.1, device=torch.device("cpu")), "optimizer": torch.optim.Adam([nn.Parameter(torch.ones(1))]),
        "path": {"p": pathlib.PurePosixPath("a/b"), "w": torch.ones(1)}, "settings": {"s": Settings(), "w": torch.ones(1)},
        "point": Point(1, torch.ones(2)), "config": _config(),
    }  # fmt: skip


def _config() -> Any:
    from transformers import BertConfig, GenerationConfig

    return {"config": BertConfig(hidden_size=8), "generation": GenerationConfig(max_length=9), "w": torch.ones(1)}


def _plain() -> dict[str, Any]:
    return {
        "numbers": [1, 2.5, -3, 2**70, True, None], "text": {"cos\nsystem": "os.system", "eval": "exec('x')"}, "bytes": [b"\x80\x02cos\nsystem\n."],
        "sets": {1, 2, frozenset({3})}, "dates": [datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2), datetime.timedelta(3)],
        "decimal": decimal.Decimal("1.5"), "array": numpy.arange(6).reshape(2, 3), "objects": numpy.array([1, "a", None], dtype=object),
        "fields": numpy.zeros(2, dtype=[("a", "<f4"), ("b", "<i8")]), "scalar": numpy.float64(0.5), "strings": numpy.array(["a", "bc"]),
        "times": numpy.array(["2020-01-01"], dtype="datetime64[D]"), "default": collections.defaultdict(list, a=[1]), "deque": collections.deque([1, 2]),
        "complex": 1 + 2j, "range": range(5), "slice": slice(1, 2), "counter": collections.Counter("aab"), "ordered": collections.OrderedDict(a=1),
    }  # fmt: skip


def _saved(place: Path) -> Iterator[Path]:
    """Every file of the set that is made here."""
    for group in (_states(), _optimized()):
        for name, value in group.items():
            for form, keywords in _forms(name).items():
                path = place / f"{name}-{form}.pt".replace(" ", "-")
                torch.save(value, path, **keywords)
                yield path
    for name, value in _modules().items():
        path = place / f"whole-{name}.pt"
        torch.save(value, path)
        yield path
    traced = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    torch.save(traced, place / "fx.pt")
    torch.jit.script(nn.Linear(2, 3)).save(str(place / "script.pt"))
    torch.jit.trace(nn.Linear(2, 3), torch.ones(1, 2)).save(str(place / "trace.pt"))
    yield from (place / "fx.pt", place / "script.pt", place / "trace.pt")
    yield from _pickled(place)


def _forms(name: str) -> dict[str, dict[str, Any]]:
    return {
        "zip": {}, "protocol3": {"pickle_protocol": 3}, "protocol4": {"pickle_protocol": 4},
        "legacy": {"_use_new_zipfile_serialization": False},
        "legacy1": {"_use_new_zipfile_serialization": False, "pickle_protocol": 1},
    }  # fmt: skip


def _pickled(place: Path) -> Iterator[Path]:
    """Plain pickles of two protocols, and joblib's with each of its compressors."""
    for name, value in _plain().items():
        for protocol in (2, 5):
            path = place / f"plain-{name}-{protocol}.pkl"
            path.write_bytes(pickle.dumps(value, protocol))
            yield path
    for suffix in ("", ".gz", ".bz2", ".xz", ".lzma", ".z"):
        path = place / f"arrays.joblib{suffix}"
        joblib.dump({"a": numpy.arange(4.0), "o": numpy.array([1, "x"], dtype=object)}, path)
        yield path


def _installed() -> Iterator[Path]:
    """Weights that packages of this environment ship."""
    for package in (
        "silero_vad",
        "lpips",
        "pesto",
        "rxnmapper",
        "basic_pitch",
        "torchvision",
        "torchaudio",
        "resemblyzer",
    ):
        found = importlib.util.find_spec(package)
        for root in found.submodule_search_locations or [] if found is not None else []:
            for suffix in ("pt", "pth", "pkl", "bin", "jit", "ckpt"):
                yield from Path(root).rglob(f"*.{suffix}")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, FileReport]:
    place = tmp_path_factory.mktemp("benign")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paths = [*_saved(place), *_installed()]
    return {path: read_file(path, path.name) for path in paths}


def test_few_are_accused(reports: dict[Path, FileReport]) -> None:
    assert len(reports) >= 150
    levels = {path.name: (report.pickle.level if report.pickle else "none") for path, report in reports.items()}
    above = {name: level for name, level in levels.items() if level not in ("none", "tensors_only", "needs_code")}
    assert all(level in (*LEVELS, "none") for level in levels.values())
    assert [name for name, level in above.items() if level == "dangerous"] == [], above
    assert len(above) <= len(reports) / 10, above


def _tensors(value: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors of a loaded value by the keys that lead to them."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _tensors(item, f"{path}.{number}" if path else str(number))


def _bytes_at(path: Path, offset: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(count)


def _raw(value: torch.Tensor) -> bytes:
    """The bytes of a tensor of one dimension."""
    packed = torch.empty(value.numel(), dtype=value.dtype).copy_(value)
    return bytes(packed.view(torch.uint8).numpy().tobytes())


def test_the_tensors_are_those_that_torch_loads(reports: dict[Path, FileReport]) -> None:
    """Names, shapes, dtypes, strides, and the bytes at the place that the report names."""
    compared = files = 0
    for path, report in reports.items():
        if report.format not in ("torch_zip", "torch_legacy") or path.name in ("fx.pt",):
            continue
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=False)
        except ModuleNotFoundError:  # a shipped file whose classes are in a package that is not installed
            continue
        if isinstance(loaded, nn.Module):
            loaded = dict([*loaded.named_parameters(), *loaded.named_buffers()])
        wanted = dict(_tensors(loaded))
        found = {tensor.name: tensor for tensor in report.tensors}
        if not isinstance(loaded, dict):
            continue
        missing = set(wanted) - set(found)
        assert not missing, (path.name, missing)
        files += 1
        for name, value in wanted.items():
            tensor = found[name]
            dtype = TORCH_DTYPES[str(value.dtype).removeprefix("torch.")]
            assert (tensor.shape, tensor.dtype) == (tuple(value.shape), dtype), (path.name, name)
            assert tensor.stride == tuple(value.stride()), (path.name, name)
            if value.numel() == 0 or tensor.offset is None or sys.byteorder != "little":
                continue
            first = _raw(value.detach().reshape(-1)[:1])
            assert _bytes_at(path, tensor.offset, len(first)) == first, (path.name, name)
            if value.is_contiguous():
                data = _raw(value.detach().reshape(-1))
                assert _bytes_at(path, tensor.offset, len(data)) == data, (path.name, name)
            compared += 1
    assert files >= 80
    assert compared >= 300
