from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.gguf_files import Row, header, padded, small
from tui.core.assemble import read_directory, read_one_file
from tui.core.diagnosis.evidence import Evidence
from tui.core.formats import gguf, read_file
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import FileReport

ROWS: list[Row] = [("a.weight", (32, 4), 0, 0), ("b.weight", (32,), 8, 512)]
PAIRS: list[tuple[str, int, Any]] = [
    ("general.architecture", 8, "llama"),
    ("n", 4, 7),
    ("ids", 9, (5, list(range(20)))),
    ("words", 9, (8, ["one", "two"])),
]


def _read(path: Path, data: bytes, name: str = "model.gguf") -> FileReport:
    (path / name).write_bytes(data)
    return read_file(path / name, name)


def _codes(report: FileReport) -> set[str]:
    return {problem.code for problem in report.problems}


def _official(path: Path) -> Any:
    return pytest.importorskip("gguf").GGUFReader(path)


def test_tensors_equal_the_official_reader(tmp_path: Path) -> None:
    library = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "model.gguf"
    writer = library.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 1)
    writer.add_token_list([f"t{index}" for index in range(300)])
    writer.add_chat_template("{{ messages }}")
    writer.add_array("floats", [0.5, 1.5])
    writer.add_tensor("a.weight", numpy.zeros((3, 64), numpy.float32))
    writer.add_tensor("b.weight", numpy.zeros((2, 5, 7), numpy.float16))
    for kind in (2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 16, 19, 23, 29, 30, 34, 35, 39):
        block, size = library.GGML_QUANT_SIZES[kind]
        data = numpy.zeros((4, size * 2), numpy.uint8)
        writer.add_tensor(f"q{kind}.weight", data, raw_dtype=library.GGMLQuantizationType(kind))
        assert gguf.TYPES[kind] == (library.GGMLQuantizationType(kind).name, block, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    report = read_file(path, path.name)
    assert report.problems == ()
    expected = [
        (item.name, item.tensor_type.name, tuple(int(size) for size in item.shape), item.n_bytes, item.data_offset)
        for item in library.GGUFReader(path).tensors
    ]
    assert [(item.name, item.dtype, item.shape, item.nbytes, item.offset) for item in report.tensors] == expected
    assert report.metadata["tokenizer.ggml.tokens"]["count"] == 300
    assert report.metadata["tokenizer.chat_template"] == "{{ messages }}"
    assert report.metadata["floats"] == [0.5, 1.5]


def test_the_table_of_types_is_the_librarys() -> None:
    library = pytest.importorskip("gguf")
    for kind, sizes in library.GGML_QUANT_SIZES.items():
        assert gguf.TYPES[int(kind)] == (kind.name, *sizes)
    assert set(gguf.TYPES) - gguf.REMOVED == {int(kind) for kind in library.GGML_QUANT_SIZES}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_versions_and_byte_orders(tmp_path: Path, version: int, order: str) -> None:
    report = _read(tmp_path, padded(header(ROWS, PAIRS, version=version, order=order), 576))
    assert [(item.name, item.dtype, item.shape, item.nbytes) for item in report.tensors] == [
        ("a.weight", "F32", (32, 4), 512),
        ("b.weight", "Q8_0", (32,), 34),
    ]
    assert report.metadata["ids"] == {"type": "i32", "count": 20, "first": list(range(8))}
    expected = ({"gguf-version"} if version == 1 else set()) | ({"gguf-byte-order"} if order == ">" else set())
    assert _codes(report) == expected
    if version == 1:
        with pytest.raises(ValueError, match="version 1 which we cannot handle"):
            _official(tmp_path / "model.gguf")
        assert "version 1 which we cannot handle" in str(report.fatal and report.fatal.loader_error)
    else:
        assert [item.name for item in _official(tmp_path / "model.gguf").tensors] == ["a.weight", "b.weight"]


def test_cut_at_every_byte(tmp_path: Path) -> None:
    head = header(ROWS, PAIRS)
    data = padded(head, 576)
    for length in range(8, len(data)):
        report = _read(tmp_path, data[:length])
        last = len(data) - 30  # the last block is 34 bytes of the 64 that the padding takes
        if length < last:
            assert report.fatal is not None, length
            assert report.fatal.code in ("gguf-truncated", "gguf-invalid-header"), (length, report.fatal)
            assert report.fatal.offset is not None


def test_figures_of_a_truncated_file(tmp_path: Path) -> None:
    whole = padded(header(ROWS, PAIRS), 576)
    report = _read(tmp_path, whole[:-200])
    [problem] = report.problems
    assert problem.code == "gguf-truncated"
    assert f"{len(whole) - 64 + 34:,}" in problem.message
    assert "2 of 2 tensors incomplete" in problem.detail[0]
    assert len(report.tensors) == 2
    with pytest.raises(ValueError, match="cannot reshape"):
        _official(tmp_path / "model.gguf")


NESTED = struct.pack("<IQ", 9, 1)
HOSTILE = {
    "2^60 tensors": (header(ROWS, PAIRS, tensors=1 << 60), "gguf-invalid-header"),
    "2^63 keys": (header(ROWS, PAIRS, keys=1 << 63), "gguf-invalid-header"),
    "2^64 - 1 tensors": (header(ROWS, PAIRS, tensors=(1 << 64) - 1), "gguf-invalid-header"),
    "array of 2^60": (header([], [("a", 4, 1)], keys=2) + struct.pack("<Q1sIIQ", 1, b"b", 9, 4, 1 << 60), "gguf-"),
    "text of 2^64 - 1": (header([], [], keys=1) + b"\xff" * 8 + bytes(64), "gguf-invalid-header"),
    "2^31 dimensions": (header([], [], tensors=1) + struct.pack("<Q1sI", 1, b"a", 1 << 31) + bytes(64), "gguf-"),
    "huge sizes": (header([("a", (1 << 60, 1 << 60), 0, 0)], PAIRS) + bytes(99), "gguf-truncated"),
    "offset beyond": (padded(header([("a", (32,), 0, 1 << 50)], PAIRS), 128), "gguf-truncated"),
    "alignment of 3": (header(ROWS, [("general.alignment", 4, 3)]) + bytes(900), "gguf-invalid-header"),
    "alignment as text": (header(ROWS, [("general.alignment", 8, "32")]) + bytes(900), "gguf-invalid-header"),
    "type 999": (padded(header([("a", (32,), 999, 0)], PAIRS), 64), "gguf-unknown-type"),
    "same name twice": (padded(header([("a", (8,), 0, 0), ("a", (8,), 0, 32)], PAIRS), 64), "gguf-duplicate"),
    "version 9": (padded(header(ROWS, PAIRS, version=9), 576), "gguf-version"),
    "value type 77": (header([], [], keys=1) + struct.pack("<Q1sI", 1, b"a", 77) + bytes(64), "gguf-invalid-header"),
    "arrays in arrays": (header([], [], keys=1) + struct.pack("<Q1sI", 1, b"a", 9) + NESTED * 5000, "gguf-"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_are_answered(tmp_path: Path, name: str) -> None:
    data, code = HOSTILE[name]
    report = _read(tmp_path, data)
    assert report.fatal is not None
    assert report.fatal.code.startswith(code)


def test_an_unknown_type_keeps_the_listing(tmp_path: Path) -> None:
    rows: list[Row] = [("a", (32,), 999, 0), ("b", (32,), 0, 64)]
    report = _read(tmp_path, padded(header(rows, PAIRS), 192))
    assert [(item.name, item.dtype, item.nbytes) for item in report.tensors] == [
        ("a", "type 999", 64),
        ("b", "F32", 128),
    ]
    with pytest.raises(ValueError, match=r"999\) is not a valid GGMLQuantizationType"):
        _official(tmp_path / "model.gguf")


def test_trailing_bytes_are_said_and_do_not_refuse(tmp_path: Path) -> None:
    report = _read(tmp_path, padded(header(ROWS, PAIRS), 576) + b"PK\x03\x04 and more")
    assert _codes(report) == {"gguf-trailing-bytes"}
    assert report.fatal is None
    assert len(_official(tmp_path / "model.gguf").tensors) == 2


def test_parts_of_a_split_model(tmp_path: Path) -> None:
    pairs = [*PAIRS, ("split.count", 2, 3), ("split.no", 2, 0)]
    data = padded(header(ROWS, pairs), 576)
    report = _read(tmp_path, data, "m-00001-of-00003.gguf")
    assert _codes(report) == {"gguf-split"}
    assert report.problems[0].detail == ("m-00002-of-00003.gguf", "m-00003-of-00003.gguf")
    for number in (2, 3):
        (tmp_path / f"m-0000{number}-of-00003.gguf").write_bytes(data)
    assert _read(tmp_path, data, "m-00001-of-00003.gguf").problems == ()


PLACES: dict[str, tuple[list[Row], str]] = {
    "overlap": ([("a", (32,), 0, 0), ("b", (32,), 0, 64)], "begins before another one ends: b"),
    "off the alignment": ([("a", (8,), 0, 4)], "off the alignment of 32"),
    "a gap": ([("a", (32,), 0, 0), ("b", (32,), 0, 256)], "do not follow one another"),
    "another order": ([("b", (32,), 0, 128), ("a", (32,), 0, 0)], "do not follow one another"),
}


@pytest.mark.parametrize("name", PLACES)
def test_tensors_that_do_not_follow_one_another_are_read_by_gguf_and_refused_by_llama_cpp(
    tmp_path: Path, name: str
) -> None:
    rows, words = PLACES[name]
    data = padded(header(rows, PAIRS), 384)
    report = _read(tmp_path, data)
    [problem] = [item for item in report.problems if item.code != "gguf-trailing-bytes"]
    assert (problem.code, report.fatal) == ("gguf-tensor-places", None)
    assert words in problem.message
    assert problem.offset in (report.tensors[0].offset, report.tensors[-1].offset)
    assert triage_of(Evidence(read_one_file(tmp_path / "model.gguf", "m"))).verdict == "degraded"
    assert len(_official(tmp_path / "model.gguf").tensors) == len(rows)


LAST: dict[str, tuple[int, Any]] = {
    "u32": (4, 5), "bool": (7, True), "text": (8, "hello"), "u32s": (9, (4, [1, 2, 3])), "bytes": (9, (0, [1, 2])),
    "texts": (9, (8, ["aa", "bbb"])), "many texts": (9, (8, ["aa"] * 12)),
}  # fmt: skip


@pytest.mark.parametrize("rows", [[], [("a", (32,), 0, 0)]], ids=["no tensor", "one tensor"])
def test_a_cut_is_refused_where_the_official_reader_refuses_it(tmp_path: Path, rows: list[Row]) -> None:
    """Inside the last value of a file without tensors it notices some cuts and others not."""
    unnoticed = 0
    for kind, value in LAST.values():
        whole = header(rows, [("general.architecture", 8, "llama"), ("x", kind, value)])
        for length in range(60, len(whole)):
            report = _read(tmp_path, whole[:length])
            try:
                _official(tmp_path / "model.gguf")
            except (IndexError, ValueError):
                assert report.fatal is not None, length
            else:
                assert [item.code for item in report.problems] == ["gguf-cut-unnoticed"], length
                assert report.problems[0].offset is not None
                unnoticed += 1
    assert bool(unnoticed) == (not rows)


def _part(number: int, count: int = 2, name: str = "c", total: int = 3) -> bytes:
    pairs = [("split.no", 2, number), ("split.count", 2, count), ("split.tensors.count", 5, total)]
    rows: list[Row] = ROWS if number == 0 and name == "c" else [(name, (32,), 0, 0)]
    return padded(header(rows, [*PAIRS, *pairs]), 576 if rows is ROWS else 128)


MIXED = {
    "another number": (_part(0, name="d"), "invalid split file idx: 0 (file: m-00002-of-00002.gguf), expected 1"),
    "another count": (_part(1, count=3), "the name says 2 parts, the header 3"),
    "the same tensor": (_part(1, name="a.weight"), "invalid model: tensor 'a.weight' is duplicated"),
}


@pytest.mark.parametrize("name", MIXED)
def test_a_part_of_another_split_model_is_said(tmp_path: Path, name: str) -> None:
    part, words = MIXED[name]
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(_part(0))
    second = tmp_path / "m-00002-of-00002.gguf"
    second.write_bytes(_part(1))
    assert triage_of(Evidence(read_directory(tmp_path, "m"))).findings == ()
    second.write_bytes(part)
    triage = triage_of(Evidence(read_directory(tmp_path, "m")))
    [found] = triage.findings
    assert (found.rule, found.file, triage.verdict) == ("gguf-split-mixed", second.name, "degraded")
    assert words in " ".join(found.evidence)
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(_part(0, total=9))
    second.write_bytes(_part(1, total=9))
    [found] = triage_of(Evidence(read_directory(tmp_path, "m"))).findings
    assert "corrupted model: 9 tensors expected but 3 found" in " ".join(found.evidence)


def test_a_small_model_passes(tmp_path: Path) -> None:
    assert read_file(small(tmp_path / "m.gguf"), "m.gguf").problems == ()


def test_an_array_that_the_official_reader_never_comes_back_from_is_said_without_words_of_its(tmp_path: Path) -> None:
    for count, known in ((2**60, False), (1000, True)):
        pair = struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 4, count)
        path = tmp_path / "array.gguf"
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + pair)
        [problem] = read_file(path, path.name).problems
        assert problem.code == ("gguf-truncated" if known else "gguf-invalid-header")
        assert (problem.loader_error is not None) is known
        assert ("does not come back" in problem.message) is not known
