from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from safetensors import SafetensorError, safe_open

from tests.builders.checkpoints import header, raw_safetensors, write_safetensors
from tui.core.formats import read_file

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, tuple[str, tuple[int, ...]]] = {"a.weight": ("F32", (2, 3)), "b": ("BF16", (4,)), "scalar": ("I64", ())}


def _library_words(path: Path) -> str | None:
    try:
        with safe_open(path, framework="np") as file:
            list(file.keys())
    except SafetensorError as error:
        return str(error)
    return None


def test_reads_names_dtypes_shapes_and_offsets(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "model.safetensors", GOOD)
    report = read_file(path, path.name)
    assert report.format == "safetensors"
    assert not report.problems
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in report.tensors} == GOOD
    assert report.tensors[0].offset == len(header(GOOD)[0])
    assert _library_words(path) is None


def _entry(**changes: object) -> bytes:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}
    return json.dumps({"x": entry}).encode()


REFUSED = {
    "truncated data": (_entry(), b"\0" * 4, None, "safetensors-truncated"),
    "trailing bytes": (_entry(), b"\0" * 80, None, "safetensors-trailing-bytes"),
    "header longer than file": (b"{}", b"", 10**6, "safetensors-truncated"),
    "header length 2^63": (b"{}", b"", 2**63, "safetensors-invalid-header"),
    "not JSON": (b'{"x": ', b"", None, "safetensors-invalid-header"),
    "not UTF-8": (b'{"\xff\xfe": 1}', b"", None, "safetensors-invalid-header"),
    "deep JSON": (b'{"x":' + b"[" * 200_000, b"", None, "safetensors-invalid-header"),
    "negative shape": (_entry(shape=[-2]), b"\0" * 8, None, "safetensors-invalid-header"),
    "negative shape of positive size": (_entry(shape=[-2, -1]), b"\0" * 8, None, "safetensors-invalid-header"),
    "overflow beside zero": (_entry(shape=[2**63, 2, 0], data_offsets=[0, 0]), b"", None, "safetensors-invalid-header"),
    "no shape": (b'{"x":{"dtype":"F32","data_offsets":[0,4]}}', b"\0" * 4, None, "safetensors-invalid-header"),
    "lone surrogate": (_entry().replace(b'"x"', b'"\\ud800"'), b"\0" * 8, None, "safetensors-invalid-header"),
    "NaN in shape": (_entry(shape=[float("nan")]), b"\0" * 8, None, "safetensors-invalid-header"),
    "overflowing shape": (_entry(shape=[2**40, 2**40]), b"\0" * 8, None, "safetensors-invalid-header"),
    "gap": (_entry(data_offsets=[4, 12]), b"\0" * 12, None, "safetensors-invalid-header"),
    "begin after end": (_entry(data_offsets=[8, 0]), b"\0" * 8, None, "safetensors-invalid-header"),
    "wrong size": (_entry(shape=[3]), b"\0" * 8, None, "safetensors-invalid-header"),
    "unknown dtype": (_entry(dtype="F128"), b"\0" * 8, None, "safetensors-invalid-header"),
    "NUL padding": (_entry() + b"\0\0", b"\0" * 8, None, "safetensors-nul-padding"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_the_library_refuses(tmp_path: Path, case: str) -> None:
    text, data, length, rule = REFUSED[case]
    path = raw_safetensors(tmp_path / "model.safetensors", text, data, length)
    said = _library_words(path)
    assert said is not None
    problem = read_file(path, path.name).fatal
    assert problem is not None
    assert problem.code == rule
    assert problem.loader_error is not None
    predicted = problem.loader_error[1]
    kind = predicted.removeprefix("Error while deserializing header: ").split(":")[0]
    assert kind.split("`")[0] in said


def test_too_small_files_are_told_apart(tmp_path: Path) -> None:
    for count, rule in ((0, "file-empty-file"), (5, "safetensors-truncated")):
        path = tmp_path / f"{count}.safetensors"
        path.write_bytes(b"\1" * count)
        assert [problem.code for problem in read_file(path, path.name).problems] == [rule]
        assert "header too small" in (_library_words(path) or "")


def test_what_can_be_read_of_a_damaged_header_is_listed(tmp_path: Path) -> None:
    text = json.dumps({"ok": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "bad": {"shape": "x"}}).encode()
    path = raw_safetensors(tmp_path / "model.safetensors", text, b"\0" * 4)
    report = read_file(path, path.name)
    assert [tensor.name for tensor in report.tensors] == ["ok"]
    assert report.fatal is not None


def test_metadata_of_any_key_is_kept(tmp_path: Path) -> None:
    tensor = b'"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    text = b'{"__metadata__":{"format":"pt","shape":"odd","dtype":"x"},' + tensor + b"}"
    path = raw_safetensors(tmp_path / "model.safetensors", text, b"\0" * 4)
    report = read_file(path, path.name)
    assert report.metadata["format"] == "pt"
    assert [tensor.name for tensor in report.tensors] == ["x"]
    assert _library_words(path) is None
    assert not report.problems
