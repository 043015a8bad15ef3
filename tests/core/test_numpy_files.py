from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy
import pytest

from tui.core.formats import read_file

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import FileReport

DTYPES = {
    "float16": "F16", "float32": "F32", "float64": "F64", "int8": "I8", "int64": "I64", "uint16": "U16",
    "bool": "BOOL", "complex64": "C64", "complex128": "C128", ">f4": "F32", "U10": "U10", "S3": "S3", "V4": "V4",
    "datetime64[s]": "M8[s]",
}  # fmt: skip


def _codes(report: FileReport) -> set[str]:
    return {problem.code for problem in report.problems}


def _npy(text: bytes, data: bytes = b"", version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    size = len(text) if length is None else length
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", size) + text + data


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_are_as_numpy_has_them(tmp_path: Path, dtype: str) -> None:
    array: Any = numpy.zeros((3, 2), dtype)
    numpy.save(tmp_path / "a.npy", array)
    report = read_file(tmp_path / "a.npy", "a.npy")
    assert report.problems == ()
    [tensor] = report.tensors
    assert (tensor.dtype, tensor.shape, tensor.nbytes) == (DTYPES[dtype], (3, 2), array.nbytes)
    assert tensor.offset is not None
    assert tensor.offset + tensor.nbytes == report.size


def test_column_order_scalars_records_and_empty(tmp_path: Path) -> None:
    for array, dtype, stride in (
        (numpy.zeros((3, 4), order="F"), "F64", (1, 3)),
        (numpy.float32(3), "F32", None),
        (numpy.zeros(3, [("a", "<f4"), ("b", "<i8", (2, 2))]), "record", None),
        (numpy.zeros((0, 4)), "F64", None),
    ):
        numpy.save(tmp_path / "a.npy", array)
        report = read_file(tmp_path / "a.npy", "a.npy")
        [tensor] = report.tensors
        assert report.problems == ()
        assert (tensor.dtype, tensor.shape, tensor.stride) == (dtype, array.shape, stride)
        assert tensor.nbytes == array.nbytes


def test_several_arrays_in_one_file(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        for size in (3, 5, 7):
            numpy.save(file, numpy.zeros(size))
    report = read_file(tmp_path / "a.npy", "a.npy")
    assert [(item.name, item.shape) for item in report.tensors] == [
        ("array", (3,)),
        ("array.1", (5,)),
        ("array.2", (7,)),
    ]
    with (tmp_path / "a.npy").open("ab") as file:
        file.write(b"PK\x03\x04")
    assert _codes(read_file(tmp_path / "a.npy", "a.npy")) == {"numpy-trailing-bytes"}


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_an_archive_has_numpys_keys(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "a.npz", numpy.zeros(3), weight=numpy.ones((2, 2), "float32"), **{"layer/bias": numpy.zeros(4)})
    report = read_file(tmp_path / "a.npz", "a.npz")
    assert report.format == "npz"
    assert report.problems == ()
    with numpy.load(tmp_path / "a.npz") as loaded:
        assert {item.name: item.shape for item in report.tensors} == {key: loaded[key].shape for key in loaded}
    raw = (tmp_path / "a.npz").read_bytes()
    for item in report.tensors:
        if item.name == "weight" and item.offset is not None:
            assert raw[item.offset : item.offset + 16] == numpy.ones(4, "float32").tobytes()


class Vocabulary:
    """A class of ours inside an array."""


@pytest.mark.parametrize("value", [{"a": 1}, [1, None], Vocabulary()], ids=["dict", "list", "class"])
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_object_arrays_are_refused_as_numpy_refuses_them(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / name
    array: Any = numpy.empty(2, object)
    array[0] = value
    (numpy.save if name == "a.npy" else numpy.savez)(path, array)
    with pytest.raises(ValueError, match="Object arrays cannot be loaded when allow_pickle=False"):
        dict(numpy.load(path)) if name == "a.npz" else numpy.load(path)
    report = read_file(path, name)
    assert _codes(report) == {"numpy-object-array"}
    assert report.pickle is not None
    needs = isinstance(value, Vocabulary)
    assert report.pickle.level == ("needs_code" if needs else "tensors_only")
    assert any(item.endswith("Vocabulary") for item in report.pickle.globals) is needs


def test_an_object_array_that_would_run_something(tmp_path: Path) -> None:
    text = b"{'descr': 'object', 'fortran_order': False, 'shape': (1,), }"
    (tmp_path / "a.npy").write_bytes(_npy(text, b"cos\nsystem\n(S'true'\ntR."))
    report = read_file(tmp_path / "a.npy", "a.npy")
    assert report.pickle is not None
    assert report.pickle.level == "dangerous"


def test_cut_short(tmp_path: Path) -> None:
    numpy.save(tmp_path / "a.npy", numpy.zeros(100))
    whole = (tmp_path / "a.npy").read_bytes()
    for length in [*range(6, 130, 3), 500, len(whole) - 1]:
        (tmp_path / "a.npy").write_bytes(whole[:length])
        report = read_file(tmp_path / "a.npy", "a.npy")
        assert report.fatal is not None, length
        assert report.fatal.code == "numpy-truncated"
        with pytest.raises((ValueError, EOFError)):
            numpy.load(tmp_path / "a.npy")
    [tensor] = report.tensors
    assert tensor.shape == (100,)
    assert report.fatal is not None
    assert report.fatal.loader_error is not None
    with pytest.raises(ValueError, match="could only read 99 elements"):
        numpy.load(tmp_path / "a.npy")
    assert "= 100 elements, could only read 99 elements." in report.fatal.loader_error[1]


BAD = {
    "nested": b"{'descr': " + b"(" * 4000 + b")" * 4000 + b"}",
    "signs": b"{'descr': " + b"-" * 5000 + b"1}",
    "no dictionary": b"[1, 2]",
    "keys": b"{'descr': '<f4', 'shape': (1,)}",
    "negative": b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
    "no tuple": b"{'descr': '<f4', 'fortran_order': False, 'shape': 3}",
    "code": b"{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (1,)}",
    "dtype": b"{'descr': '<f3', 'fortran_order': False, 'shape': (1,)}",
    "no literal": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_headers_are_refused_as_numpy_refuses_them(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.npy").write_bytes(_npy(BAD[name], bytes(64)))
    report = read_file(tmp_path / "a.npy", "a.npy")
    assert _codes(report) == {"numpy-invalid-header"}
    with pytest.raises((ValueError, RecursionError, MemoryError)):
        numpy.load(tmp_path / "a.npy")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0), (9, 0)])
def test_versions_and_lengths(tmp_path: Path, version: tuple[int, int]) -> None:
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"
    path = tmp_path / "a.npy"
    path.write_bytes(_npy(text, bytes(8), version))
    assert _codes(read_file(path, "a.npy")) == (set() if version[0] < 9 else {"numpy-invalid-header"})
    path.write_bytes(_npy(text + b" " * 20_000, bytes(8), version))
    assert read_file(path, "a.npy").fatal is not None
    with pytest.raises(ValueError, match=r"safe to load|format version"):
        numpy.load(path)


def test_absurd_sizes_are_no_allocation(tmp_path: Path) -> None:
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846976, 1152921504606846976), }"
    (tmp_path / "a.npy").write_bytes(_npy(text, bytes(8)))
    assert _codes(read_file(tmp_path / "a.npy", "a.npy")) == {"numpy-truncated"}


def test_an_archive_with_a_short_member(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.zeros(50))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.npy", buffer.getvalue())
        archive.writestr("short.npy", buffer.getvalue()[:-9])
        archive.writestr("none.npy", b"no array")
    report = read_file(tmp_path / "a.npz", "a.npz")
    assert _codes(report) == {"numpy-truncated", "numpy-invalid-header"}
    assert [item.name for item in report.tensors] == ["good", "short"]
    with numpy.load(tmp_path / "a.npz") as loaded, pytest.raises(ValueError, match="EOF: reading array data"):
        loaded["short"]
