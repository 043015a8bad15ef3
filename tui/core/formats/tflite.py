"""TensorFlow Lite: the flatbuffer's tables read by position, for the tensors that hold data.

Field numbers are those of `tensorflow/lite/schema/schema.fbs` (version 3). Tensors without a buffer are activations:
they are counted, not listed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.files import FileProblem
from tui.core.formats.extents import overlap_problems, overlapping
from tui.core.problems import Problem
from tui.core.tensors import Tensor, bytes_of
from tui.core.text import count_of, listing, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

_TYPES = (
    "F32", "F16", "I32", "U8", "I64", "string", "BOOL", "I16", "C64", "I8", "F64", "C128", "U64", "resource", "variant",
    "U32", "U16", "I4", "BF16", "I2", "U4",
)  # fmt: skip
MAX_TENSORS = 200_000
MAX_NAME = 4096


class _Broken(Exception):
    """A position that leads outside the file."""


class _Buffer:
    """A flatbuffer in a file: numbers, tables and vectors by absolute position."""

    def __init__(self, file: RegularFile) -> None:
        self.file = file
        self._base, self._data = 0, b""

    def bytes(self, position: int, count: int) -> bytes:
        """`count` bytes, through a window."""
        if position < 0 or position + count > self.file.size:
            raise _Broken(f"position {position:,} of {self.file.size:,}")
        index = position - self._base
        if index < 0 or index + count > len(self._data):
            self._base = max(position - 2048, 0)
            self._data = self.file.read(self._base, min(max(count + 2048, 1 << 16), self.file.size - self._base))
            index = position - self._base
        return self._data[index : index + count]

    def number(self, form: str, position: int) -> int:
        """One number."""
        return int(struct.unpack("<" + form, self.bytes(position, struct.calcsize(form)))[0])

    def field(self, table: int, index: int) -> int | None:
        """Where a field of a table lies, `None` where it has its default."""
        vtable = table - self.number("i", table)
        if 4 + 2 * index >= self.number("H", vtable):
            return None
        offset = self.number("H", vtable + 4 + 2 * index)
        return table + offset if offset else None

    def whole(self, table: int) -> None:
        """That a table and its table of fields lie in the file."""
        vtable = table - self.number("i", table)
        size, inline = self.number("H", vtable), self.number("H", vtable + 2)
        self.bytes(vtable, size)
        self.bytes(table, inline)

    def follow(self, table: int, index: int) -> int | None:
        """Where the table, vector or text that a field refers to begins."""
        place = self.field(table, index)
        return None if place is None else place + self.number("I", place)

    def vector(self, table: int, index: int, width: int) -> tuple[int, int]:
        """(first position, count) of a vector; its count fits the file."""
        place = self.follow(table, index)
        if place is None:
            return 0, 0
        count = self.number("I", place)
        if place + 4 + count * width > self.file.size:
            raise _Broken(f"a vector of {count:,} items at {place:,}")
        return place + 4, count

    def text(self, table: int, index: int) -> str:
        """A text."""
        start, count = self.vector(table, index, 1)
        return self.bytes(start, min(count, MAX_NAME)).decode("utf-8", "backslashreplace") if count else ""


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the file identifier is TensorFlow Lite's."""
    return head[4:8] == b"TFL3"


def read(file: RegularFile) -> FileReport:
    """Tensors that hold data, version and description, and whether the buffers are all there."""
    buffer = _Buffer(file)
    metadata: dict[str, Any] = {}
    tensors: list[Tensor] = []
    problems: list[Problem] = []
    try:
        _model(buffer, metadata, tensors, problems)
    except (_Broken, FileProblem, struct.error) as broken:
        words = f"refers to bytes that it does not have: {broken}; {count_of(len(tensors), 'tensor')} could be read"
        error = ("ValueError", "Model provided has model identifier '', should be 'TFL3'")
        problems.append(Problem("tflite-damaged", words, file.name, file.size, loader_error=error))
    return FileReport(
        file.name,
        "tflite",
        file.size,
        tuple(tensors),
        metadata,
        tuple(problems),
        modified=file.modified,
        allocated=file.blocks,
    )


def _model(buffer: _Buffer, metadata: dict[str, Any], tensors: list[Tensor], problems: list[Problem]) -> None:
    """The root table: version, subgraphs, buffers."""
    root = buffer.number("I", 0)
    version = buffer.field(root, 0)
    metadata["version"] = buffer.number("I", version) if version is not None else None
    metadata["description"] = buffer.text(root, 3)
    held = _buffers(buffer, root)
    beyond: list[str] = []
    short: list[str] = []
    activations = 0
    first, subgraphs = buffer.vector(root, 2, 4)
    for number in range(subgraphs):
        place = first + 4 * number
        table = place + buffer.number("I", place)
        start, count = buffer.vector(table, 0, 4)
        if len(tensors) + activations + count > MAX_TENSORS:
            raise _Broken(f"more than {MAX_TENSORS:,} tensors")
        for index in range(count):
            entry = start + 4 * index
            tensor = _tensor(buffer, entry + buffer.number("I", entry), held)
            if tensor is None:
                activations += 1
                continue
            tensors.append(tensor)
            if tensor.nbytes < (_least(tensor) or 0):
                short.append(f"{tensor.name} has {tensor.nbytes:,} bytes, its shape needs {_least(tensor):,}")
            if (tensor.offset or 0) + tensor.nbytes > buffer.file.size:
                beyond.append(tensor.name)
    metadata["subgraphs"] = subgraphs
    metadata["activations"] = activations
    if beyond:
        words = f"{count_of(len(beyond), 'tensor')} beyond the end of the file: {listing(beyond)}"
        problems.append(Problem("tflite-damaged", words, buffer.file.name, buffer.file.size))

    if short:
        words = f"{count_of(len(short), 'tensor')} with fewer bytes than the shape needs: {short[0]}"
        error = ("ValueError", "required_bytes <= bytes was not true. Tensor is invalidly specified in schema.")
        begin = next((tensor.offset for tensor in tensors if tensor.nbytes < (_least(tensor) or 0)), None)
        problems.append(Problem("tflite-damaged", words, buffer.file.name, begin, loader_error=error))
    over = overlapping((item.offset or 0, item.nbytes, item.name) for item in tensors)
    problems += overlap_problems(buffer.file.name, over)
    _visit(buffer, root, 1)
    for number in range(subgraphs):
        place = first + 4 * number
        _visit(buffer, place + buffer.number("I", place), 3)


def _least(tensor: Tensor) -> int | None:
    """Bytes that a dense tensor needs, `None` where the dtype does not tell; packed ones are smaller than a byte."""
    if min(tensor.shape, default=0) < 0:
        return None
    return bytes_of(tensor.dtype, tensor.shape)


def _visit(buffer: _Buffer, table: int, index: int) -> None:
    """Step over tables that list no tensors, operators among them, so that one that is not there is met."""
    first, count = buffer.vector(table, index, 4)
    for number in range(min(count, MAX_TENSORS)):
        place = first + 4 * number
        inner = place + buffer.number("I", place)
        buffer.whole(inner)
        for field in range(8):
            place_of = buffer.field(inner, field)
            if index == 3 and field in (1, 2) and place_of is not None:
                buffer.vector(inner, field, 4)


def _buffers(buffer: _Buffer, root: int) -> list[tuple[int, int]]:
    """(first byte, size) of each buffer; those of large models lie after the flatbuffer."""
    first, count = buffer.vector(root, 4, 4)
    out: list[tuple[int, int]] = []
    for number in range(min(count, MAX_TENSORS)):
        place = first + 4 * number
        table = place + buffer.number("I", place)
        offset, size = buffer.field(table, 1), buffer.field(table, 2)
        if offset is not None and size is not None and buffer.number("Q", offset) > 1:
            out.append((buffer.number("Q", offset), buffer.number("Q", size)))
            continue
        data = buffer.follow(table, 0)
        out.append((0, 0) if data is None else (data + 4, buffer.number("I", data)))
    return out


def _tensor(buffer: _Buffer, table: int, held: list[tuple[int, int]]) -> Tensor | None:
    """A tensor that has data of its own, `None` for an activation."""
    place = buffer.field(table, 2)
    index = buffer.number("I", place) if place is not None else 0
    start, size = held[index] if index < len(held) else (0, 0)
    if size == 0:
        return None
    first, count = buffer.vector(table, 0, 4)
    shape = tuple(buffer.number("i", first + 4 * axis) for axis in range(min(count, 64)))
    kind = buffer.field(table, 1)
    code = buffer.number("B", kind) if kind is not None else 0
    dtype = _TYPES[code] if code < len(_TYPES) else f"type {code}"
    return Tensor(printable(buffer.text(table, 3), MAX_NAME), dtype, shape, size, buffer.file.name, start)
