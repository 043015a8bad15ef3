from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest

from tui.core.formats import read_file, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.core.checkpoint import FileReport

RUNS = b"cos\nsystem\n(S'true'\ntR."
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "ZF": lambda data: b"ZF" + hex(len(data)).encode().ljust(19) + zlib.compress(data),
}


def _read(path: Path, data: bytes, name: str = "file.pkl") -> FileReport:
    (path / name).write_bytes(data)
    return read_file(path / name, name)


def _level(report: FileReport) -> str:
    return report.pickle.level if report.pickle is not None else "no pickle"


@pytest.mark.parametrize("how", COMPRESS)
def test_compressed_pickles_are_seen(tmp_path: Path, how: str) -> None:
    pack = COMPRESS[how]
    report = _read(tmp_path, pack(pickle.dumps({"a": [1, 2]})))
    assert (report.format, _level(report), report.problems) == ("pickle", "tensors_only", ())
    assert _level(_read(tmp_path, pack(RUNS), "file.bin")) == "dangerous"
    both = _level(_read(tmp_path, pack(pickle.dumps([1])) + pack(RUNS)))
    assert both == ("not_verified" if how == "ZF" else "dangerous")  # joblib's own prefix ends the first stream


@pytest.mark.parametrize("how", COMPRESS)
def test_streams_cut_short(tmp_path: Path, how: str) -> None:
    data = COMPRESS[how](pickle.dumps([numpy.random.default_rng(0).random(100).tolist()]))
    for length in range(25, len(data), 37):
        report = _read(tmp_path, data[:length])
        assert report.fatal is not None, length
        assert _level(report) in ("not_verified", "no pickle")


def test_a_bomb_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_INFLATED", 1 << 20)
    report = _read(tmp_path, gzip.compress(b"\x80\x02]" + b"N0" * (4 << 20)))
    assert _level(report) == "not_verified"
    assert report.metadata["inflated_bytes"] is None


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)], ids=str)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_joblib_arrays_lie_in_the_stream(tmp_path: Path, compress: Any, protocol: int) -> None:
    joblib = pytest.importorskip("joblib")
    value = {
        "a": numpy.arange(12, dtype="float32").reshape(3, 4),
        "b": numpy.asfortranarray(numpy.ones((2, 5))),
        "c": [numpy.int64(3), "text"],
        "d": {"e": numpy.zeros(0, "int16"), "f": numpy.array(2.5)},
        "after": numpy.arange(7),
    }
    joblib.dump(value, tmp_path / "m.joblib", compress=compress, protocol=protocol)
    report = read_file(tmp_path / "m.joblib", "m.joblib")
    assert report.problems == ()
    assert _level(report) == "tensors_only"
    assert {item.name: (item.dtype, item.shape) for item in report.tensors} == {
        "a": ("F32", (3, 4)), "b": ("F64", (2, 5)), "d.e": ("I16", (0,)), "d.f": ("F64", ()), "after": ("I64", (7,)),
    }  # fmt: skip
    if not compress:
        raw = (tmp_path / "m.joblib").read_bytes()
        [first] = [item for item in report.tensors if item.name == "a"]
        assert first.offset is not None
        assert raw[first.offset : first.offset + first.nbytes] == value["a"].tobytes()


def test_object_arrays_of_joblib_are_walked(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    array: Any = numpy.empty(1, object)
    array[0] = Path("x")
    joblib.dump({"a": array, "b": numpy.ones(3)}, tmp_path / "m.joblib")
    report = read_file(tmp_path / "m.joblib", "m.joblib")
    assert report.pickle is not None
    assert any(name.startswith("pathlib") for name in report.pickle.globals)
    assert [item.name for item in report.tensors][-1] == "b"


def test_array_bytes_that_are_opcodes_to_pickle_load(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    data = RUNS + bytes(-len(RUNS) % 8)
    joblib.dump(numpy.frombuffer(data, "uint8"), tmp_path / "m.pkl")
    raw = (tmp_path / "m.pkl").read_bytes()
    start = raw.index(RUNS)
    built = raw.rindex(b"b", 0, start) + 1
    assert _level(_read(tmp_path, raw)) == "tensors_only"
    changed = raw[:built] + b"N" + RUNS.ljust(ord("N")) + raw[start:]  # the count of padding is the opcode NONE
    report = _read(tmp_path, changed)
    assert _level(report) == "dangerous"
    assert [item.shape for item in report.tensors] == [(len(data),)]


def test_the_pickles_that_joblib_ships(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    data = Path(joblib.__file__).parent / "test" / "data"
    files = sorted(path for path in data.glob("joblib_0*") if not path.name.endswith((".npy", ".npy.z")))
    if not files:
        pytest.skip("this joblib comes without its test data")
    for path in files:
        report = read_file(path, path.name)
        assert report.problems == (), path.name
        assert _level(report) in ("tensors_only", "needs_code"), (path.name, report.pickle)
        if "cache_size" in path.name or ("_compressed_pickle_py" in path.name and "_0.1" not in path.name):
            continue  # side files in joblib's own compression, or none
        if "_py27_" in path.name:
            continue  # joblib itself reads them only under Python 2
        expected = _arrays(joblib, path)
        assert sorted((item.dtype, item.shape) for item in report.tensors) == expected, path.name


def _arrays(joblib: Any, path: Path) -> list[Any]:
    import warnings

    names = {"float64": "F64", "int64": "I64", "uint8": "U8"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = joblib.load(path)
    out = [(names[value.dtype.name], value.shape) for value in loaded if _is_plain(value)]
    return sorted(out)


def _is_plain(value: Any) -> bool:
    return isinstance(value, numpy.ndarray) and not value.dtype.hasobject


def test_a_side_file_that_is_missing(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    data = Path(joblib.__file__).parent / "test" / "data"
    path = data / "joblib_0.9.2_pickle_py35_np19.pkl"
    if not path.exists():
        pytest.skip("this joblib comes without its test data")
    for beside in data.glob(f"{path.name}*"):
        (tmp_path / beside.name).write_bytes(beside.read_bytes())
    assert read_file(tmp_path / path.name, path.name).problems == ()
    (tmp_path / f"{path.name}_02.npy").unlink()
    [problem] = read_file(tmp_path / path.name, path.name).problems
    assert (problem.code, problem.detail) == ("pickle-side-file", (f"{path.name}_02.npy",))
    with pytest.raises(FileNotFoundError):
        joblib.load(tmp_path / path.name)


# tar


def _tar(members: dict[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _v7(data: bytes) -> bytes:
    """The same archive as it was before `ustar` had a magic."""
    out = bytearray(data)
    position = 0
    while out[position : position + 512].strip(b"\0"):
        size = int(out[position + 124 : position + 135], 8)
        out[position + 257 : position + 512] = bytes(255)
        total = sum(out[position : position + 148]) + 256 + sum(out[position + 156 : position + 512])
        out[position + 148 : position + 156] = b"%06o\0 " % total
        position += 512 + -(-size // 512) * 512
    return bytes(out)


@pytest.mark.parametrize("form", ["ustar", "gnu", "pax", "v7"])
def test_pickles_in_a_tar_are_walked(tmp_path: Path, form: str) -> None:
    forms = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    members = {"x" * 150 if form in ("gnu", "pax") else "a": b"text", "model.pkl": RUNS}
    data = _tar(members, forms.get(form, tarfile.USTAR_FORMAT))
    report = _read(tmp_path, _v7(data) if form == "v7" else data, "model.pth.tar")
    assert (report.format, _level(report)) == ("tar", "dangerous")
    assert report.metadata["members"] == list(members)
    assert _level(_read(tmp_path, gzip.compress(data), "model.tar.gz")) == "dangerous"


def test_a_tar_that_leads_outside_or_is_cut(tmp_path: Path) -> None:
    data = _tar({"../../x": b"1", "b": bytes(5000)})
    assert [item.code for item in _read(tmp_path, data, "m.pth.tar").problems] == ["archive-escapes"]
    for length in (1025, 1500, 1540, 4000):
        report = _read(tmp_path, data[:length], "m.pth.tar")
        assert "file-truncated" in {item.code for item in report.problems}, length
        assert report.metadata["members"] == ["../../x"]


def _torch_tar(storage: str = "FloatStorage") -> bytes:
    """What torch before 0.4 wrote: two tensors that share a storage of twelve elements."""
    import torch

    kind = getattr(torch, storage)
    storages = pickle.dumps(1, 2) + pickle.dumps((7, "cpu", kind), 2) + struct.pack("<q", 12)
    storages += numpy.arange(12, dtype="float32").tobytes() + pickle.dumps([], 2)
    tensors = pickle.dumps(2, 2)
    for key, shape, stride, offset in ((1, (3, 4), (4, 1), 0), (2, (2, 2), (1, 4), 3)):
        tensors += pickle.dumps((key, 7, torch.FloatTensor), 2) + struct.pack("<ii", len(shape), 0)
        tensors += struct.pack(f"<{2 * len(shape) + 1}q", *shape, *stride, offset)

    class Named(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return value[1] if isinstance(value, tuple) and value[0] == "tensor" else None

    buffer = io.BytesIO()
    Named(buffer, 2).dump({"weight": ("tensor", "1"), "view": ("tensor", "2"), "epoch": 3})
    system = pickle.dumps({"protocol_version": 1000, "little_endian": True, "type_sizes": {}}, 2)
    return _tar({"sys_info": system, "pickle": buffer.getvalue(), "storages": storages, "tensors": tensors})


@pytest.mark.loader
def test_torchs_own_tar_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    import torch

    report = _read(tmp_path, _torch_tar(), "model.pth.tar")
    loaded = torch.load(tmp_path / "model.pth.tar", weights_only=False)
    assert report.format == "torch_tar"
    assert {item.name: (item.shape, item.stride) for item in report.tensors} == {
        name: (tuple(value.shape), value.stride()) for name, value in loaded.items() if isinstance(value, torch.Tensor)
    }
    assert report.pickle is not None
    assert report.pickle.weights_only_error is not None
    with pytest.raises(RuntimeError) as caught:
        torch.load(tmp_path / "model.pth.tar", weights_only=True)
    assert str(caught.value).split(" In PyTorch")[0] in report.pickle.weights_only_error[1]
    assert report.problems == ()


@pytest.mark.loader
def test_torchs_tar_cut_at_each_member(tmp_path: Path) -> None:
    data = _torch_tar()
    for length in range(512, len(data.rstrip(b"\0")), 128):
        report = _read(tmp_path, data[:length], "model.pth.tar")
        assert report.problems or report.format == "tar", length


@pytest.mark.loader
def test_old_protocols_of_the_legacy_format(tmp_path: Path) -> None:
    import torch

    value = {"w": torch.ones(20), "half": torch.zeros(3, 4, dtype=torch.float16)}
    path = tmp_path / "model.pt"
    torch.save(value, path, _use_new_zipfile_serialization=False, pickle_protocol=1)
    report = read_file(path, "model.pt")
    assert report.format == "torch_legacy"
    assert {item.name: item.shape for item in report.tensors} == {"w": (20,), "half": (3, 4)}
    assert report.pickle is not None
    assert report.pickle.weights_only_error is not None
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert set(torch.load(path, weights_only=False)) == {"w", "half"}


# torch's zip


def _edited(source: Path, target: Path, changes: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            record = info.filename.partition("/")[2]
            new.writestr(info.filename, changes.get(record, old.read(info)))
    return target


VALUES = [("byteorder", b"middle"), ("byteorder", b""), ("byteorder", b"little\n"), ("version", b"99\n"),
          ("version", b"0\n"), ("version", b"x"), ("version", b"11"), ("version", b"")]  # fmt: skip


@pytest.mark.loader
@pytest.mark.parametrize(("record", "value"), VALUES, ids=str)
def test_records_that_torch_refuses(tmp_path: Path, record: str, value: bytes) -> None:
    import torch

    torch.save({"w": torch.ones(20)}, tmp_path / "a.pt")
    path = _edited(tmp_path / "a.pt", tmp_path / "b.pt", {record: value})
    [problem] = read_file(path, "b.pt").problems
    assert problem.code == "torch-zip-version"
    assert problem.loader_error is not None
    with pytest.raises((RuntimeError, ValueError)) as caught:
        torch.load(path)
    assert problem.loader_error[1] in str(caught.value)


@pytest.mark.loader
@pytest.mark.parametrize(("record", "value"), [("byteorder", b"big"), ("version", b"10"), ("version", b"1 ")], ids=str)
def test_records_that_torch_takes(tmp_path: Path, record: str, value: bytes) -> None:
    import torch

    torch.save({"w": torch.ones(20)}, tmp_path / "a.pt")
    path = _edited(tmp_path / "a.pt", tmp_path / "b.pt", {record: value})
    assert read_file(path, "b.pt").problems == ()
    torch.load(path)


@pytest.mark.loader
def test_a_changed_record_is_said_and_loads(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "a.pt"
    torch.save({"w": torch.ones(20)}, path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"little", b"big\0\0\0", 1) if b"little" in data else data)
    codes = {item.code for item in read_file(path, "a.pt").problems}
    assert codes == {"zip-crc", "torch-zip-version"}


@pytest.mark.loader
@pytest.mark.parametrize("zipped", [True, False])
def test_offsets_point_at_the_values(tmp_path: Path, zipped: bool) -> None:
    import torch

    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    value = {"base": base, "row": base[2], "last": base[:, 5], "half": torch.full((3,), 2.0, dtype=torch.float16)}
    path = tmp_path / "a.pt"
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    raw = path.read_bytes()
    for item in read_file(path, "a.pt").tensors:
        assert item.offset is not None
        first = value[item.name].reshape(-1)[:1].numpy().tobytes()
        assert raw[item.offset : item.offset + len(first)] == first, item.name


# memory


def test_a_large_pickle_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.pkl"
    path.write_bytes(pickle.dumps({"losses": [index * 0.5 for index in range(5_000_000)], "ids": list(range(200_000))}))
    code = (
        "import resource, sys; from pathlib import Path; from tui.core.formats import read_file\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"report = read_file(Path({str(path)!r}), 'large.pkl')\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(report.pickle.level, report.problems, after - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    level, problems, grown = done.stdout.split()
    assert (level, problems) == ("tensors_only", "()")
    assert int(grown) < 100_000
