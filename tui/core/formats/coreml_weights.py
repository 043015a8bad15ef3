"""`weights/weight.bin` of a CoreML package: a header of 64 bytes, then descriptions of blobs and their bytes.

Mirrors coremltools 9.0, `mlmodel/src/MILBlob/Blob/StorageFormat.hpp`: `storage_header` (count, version) and
`blob_metadata` (sentinel 0xDEADBEEF, dtype, bytes, offset), each padded to 64 bytes.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from tui.core.checkpoint import FileReport
from tui.core.files import FileProblem, open_regular
from tui.core.formats.coreml import Constant, constants
from tui.core.formats.extents import overlap_problems, overlapping, trailing_problems
from tui.core.formats.protobuf import WireError
from tui.core.problems import Problem
from tui.core.tensors import Tensor, bytes_of
from tui.core.text import count_of

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.files import RegularFile

SENTINEL = 0xDEADBEEF
MAX_CONSTANTS = 100_000
_STORED = {
    1: "F16", 2: "F32", 3: "U8", 4: "I8", 5: "BF16", 6: "I16", 7: "U16", 8: "I4", 9: "U1", 10: "U2", 11: "U4",
    12: "U3", 13: "U6", 14: "I32", 15: "U32", 16: "F8_E4M3", 17: "F8_E5M2",
}  # fmt: skip
"""`BlobDataType`."""

_PACKED = {"I4": 4, "U1": 1, "U2": 2, "U3": 3, "U4": 4, "U6": 6}
_SHOWN = 8
_ALIGNED = 64
_VERSION = 2
"""The only one that `StorageReader` of coremltools takes."""


def read_weights(root: Path, model: str) -> list[FileReport]:
    """The weight files that a program names, each with its constants; none where it names none or is damaged."""
    named: dict[str, list[Constant]] = {}
    try:
        with open_regular(root / model, model) as file:
            for number, constant in enumerate(constants(file)):
                if number >= MAX_CONSTANTS:
                    break
                named.setdefault(constant.path, []).append(constant)
    except (FileProblem, WireError):
        pass  # the model's own report says it; what came before is listed
    folder = os.path.dirname(model)
    return [_read(root, f"{folder}/{path}" if folder else path, held) for path, held in named.items()]


def _read(root: Path, name: str, held: list[Constant]) -> FileReport:
    if ".." in name.split("/") or "/" in name[:1]:
        words = f"{count_of(len(held), 'constant')} in a file outside the package"
        return FileReport(name, "coreml_weights", 0, (), {}, (Problem("coreml-weights-missing", words, name),))
    try:
        with open_regular(root / name, name) as file:
            return _constants(file, held)
    except FileProblem as problem:
        listed = tuple(_tensor(constant, name, None) for constant in held)
        words = f"{problem.problem.message}; {count_of(len(held), 'constant')} of the program are in it"
        return FileReport(name, "coreml_weights", 0, listed, {}, (Problem("coreml-weights-missing", words, name),))


def _constants(file: RegularFile, held: list[Constant]) -> FileReport:
    """The constants with the place of their bytes, those that cannot be there told."""
    tensors: list[Tensor] = []
    wrong: list[tuple[int, str]] = []
    for constant in held:
        begin, words = _blob(file, constant)
        tensors.append(_tensor(constant, file.name, begin))
        if words:
            wrong.append((constant.offset, f"{constant.name}: {words}"))
    head = file.head(8)
    count, version = struct.unpack("<II", head) if len(head) == 8 else (None, None)
    if version not in (None, _VERSION) and not wrong:
        wrong = [(4, f"a file of version {version}, readers take {_VERSION}")]
    problems = () if wrong else _silent(file, tensors)
    if wrong:
        at, words = wrong[0]
        count = count_of(len(wrong), "constant")
        lines = tuple(line for _, line in wrong[1:_SHOWN])
        problems = (Problem("coreml-weights-damaged", f"{words} ({count} in all)", file.name, at, detail=lines),)
    facts = {"blobs": count, "storage_version": version}
    return FileReport(
        file.name, "coreml_weights", file.size, tuple(tensors), facts, problems, modified=file.modified,
        allocated=file.blocks,
    )  # fmt: skip


def _silent(file: RegularFile, tensors: list[Tensor]) -> tuple[Problem, ...]:
    """Blobs over one another, and bytes after the last, which is padded to 64."""
    held = [(item.offset, item.nbytes, item.name) for item in tensors if item.offset is not None]
    end = -(-max((first + count for first, count, _ in held), default=file.size) // _ALIGNED) * _ALIGNED
    over = overlap_problems(file.name, overlapping(held))
    return (*over, *trailing_problems(file.name, file.size, end))


def _blob(file: RegularFile, constant: Constant) -> tuple[int | None, str]:
    """Where a constant's bytes begin, and what is wrong with its description, empty where nothing is."""
    if constant.offset < 64 or constant.offset + 64 > file.size:
        return None, f"its description at {constant.offset:,} is beyond the {file.size:,} bytes of the file"
    sentinel, code, size, begin = struct.unpack("<IIQQ", file.read(constant.offset, 24))
    if sentinel != SENTINEL:
        return None, f"no description at {constant.offset:,}: it begins with {sentinel:#010x}"
    if begin + size > file.size:
        return None, f"its {size:,} bytes from {begin:,} reach beyond the {file.size:,} of the file"
    wanted, stored = _bytes(constant), _STORED.get(code, f"type {code}")
    if stored != constant.dtype:
        return begin, f"is {constant.dtype} in the program and {stored} in the file"
    if wanted is not None and wanted != size:
        return begin, f"needs {wanted:,} bytes for its shape, the file has {size:,}"
    return begin, ""


def _bytes(constant: Constant) -> int | None:
    """Bytes of the constant's elements, packed where they are smaller than a byte."""
    bits = _PACKED.get(constant.dtype)
    if bits is None:
        return bytes_of(constant.dtype, constant.shape)
    count = 1
    for side in constant.shape:
        count *= side
    return (count * bits + 7) // 8


def _tensor(constant: Constant, file: str, begin: int | None) -> Tensor:
    return Tensor(constant.name, constant.dtype, constant.shape, _bytes(constant) or 0, file, begin)
