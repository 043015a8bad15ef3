"""Records of a torch archive with odd values and wrong checksums: torch decides, we say the same."""

from __future__ import annotations

import struct
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch

from tui.core.formats import read_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.loader

VALUES: dict[str, list[bytes | None]] = {
    "version": [
        b"3\n", b"3", b" 3", b"\v3", b"3 ", b"03", b"+3", b"+ 3", b"-3", b"--3", b"3x", b"x3", b"", b"\n", b"0", b"-1",
        b"1", b"10", b"11", b"3.5", b"0x3", b"1e1", b"3\0\0", b"3\nfoo", b"\xff", b"3\xff", b"\xd9\xa3",
        b"99999999999999999999", b"18446744073709551615", b"18446744073709551616", b"9223372036854775808",
        b"-18446744073709551613", b"4294967299", b"0" * 100 + b"3", b" " * 100 + b"3", b"9" * 100, None,
    ],
    ".data/version": [b"3", b"99", b"x"],
    "byteorder": [
        b"little", b"big", b"LITTLE", b"little\n", b"", b"\xff\xfe", b"middle", b"\0" * 64, b"x" * 200, b"x" * 9000,
        None,
    ],
    ".format_version": [b"1", b"0", b"x", b"", b"\xff", None],
    ".storage_alignment": [b"64", b" 6_4\n", b"x", b"", b"\xff", b"-1", b"0", b"1", b"9" * 4000, None],
}  # fmt: skip


def _saved(path: Path) -> Path:
    torch.save({"w": torch.arange(6.0).view(2, 3)}, path)
    return path


def _changed(path: Path, record: str, value: bytes | None) -> Path:
    """The archive with one record changed, added, or (`None`) left out."""
    target = path.with_name("changed.bin")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
        for item in source.infolist():
            if item.filename.partition("/")[2] != record:
                out.writestr(item.filename, source.read(item))
        if value is not None:
            out.writestr(f"{path.stem}/{record}", value)
    return target


def _said(path: Path) -> tuple[str, str] | None:
    try:
        torch.load(path, weights_only=True)
    except Exception as error:
        return type(error).__name__, str(error)
    return None


@pytest.mark.parametrize(
    ("record", "value"), [(record, value) for record, values in VALUES.items() for value in values]
)
def test_values_of_records_are_taken_as_torch_takes_them(tmp_path: Path, record: str, value: bytes | None) -> None:
    path = _changed(_saved(tmp_path / "pytorch_model.bin"), record, value)
    said = _said(path)
    fatal = read_file(path, path.name).fatal
    assert (fatal is None) == (said is None), (fatal, said)
    if fatal is not None and said is not None and value is not None:
        assert fatal.loader_error is not None
        kind, words = fatal.loader_error
        assert kind == said[0]
        assert words[:60] in said[1]


def _checksum_places(data: bytes, name: str) -> list[int]:
    """Where the archive keeps the CRC-32 of a member: in the directory, and in the member's own header."""
    at = -1
    while (at := data.index(b"PK\x01\x02", at + 1)) >= 0:
        (length,) = struct.unpack_from("<H", data, at + 28)
        if data[at + 46 : at + 46 + length].decode().partition("/")[2] == name:
            return [at + 16, struct.unpack_from("<I", data, at + 42)[0] + 14]
    raise AssertionError(name)


@pytest.mark.parametrize("place", ["directory", "member", "both"])
@pytest.mark.parametrize("record", ["data.pkl", "byteorder", "version", "data/0", ".format_version"])
def test_a_wrong_checksum_refuses_nothing(tmp_path: Path, record: str, place: str) -> None:
    path = _saved(tmp_path / "pytorch_model.bin")
    data = bytearray(path.read_bytes())
    places = _checksum_places(bytes(data), record)
    for at in {"directory": places[:1], "member": places[1:], "both": places}[place]:
        data[at] ^= 0xFF
    path.write_bytes(data)
    assert _said(path) is None
    report = read_file(path, path.name)
    assert report.fatal is None
    assert [tensor.shape for tensor in report.tensors] == [(2, 3)]
    noted = "zip-crc" in [problem.code for problem in report.problems]
    assert noted == (place != "member" and record != "data/0")
