"""ONNX: initialisers of every graph, Constant nodes apart, external data files checked and never read.

The official reader (`onnx.load`) reads the whole file into memory; here the weights are stepped over. What `onnx.load`
and `onnx.checker` 1.23 refuse becomes a `Problem` with their words.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import msgspec

from tui.core.checkpoint import FileReport
from tui.core.files import FileProblem
from tui.core.formats.extents import Extent, overlap_problems, overlapping
from tui.core.formats.onnx_tensors import TYPES, PlainTensors
from tui.core.formats.onnx_wire import MAX_TEXT, Message, Walk
from tui.core.formats.protobuf import Source, WireError
from tui.core.problems import Problem
from tui.core.tensors import Tensor
from tui.core.text import bytes_size, count_of, listing, printable

if TYPE_CHECKING:
    from tui.core.files import RegularFile

NEWEST_IR = 14
"""The IR version of onnx 1.23 (`onnx.IR_VERSION`)."""

_FIRST_FIELDS = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42\x72")
"""Tags that may follow the IR version: fields 2 to 8 and 14 of ModelProto."""

MAX_TENSORS = 1_000_000
MAX_EXTERNAL = 10_000
"""Different files of external data that are looked for."""

MAX_PATHS = 64 << 20
"""Characters of all paths together: each may be sixty names of 64 KiB."""

_SHOWN = 20
"""Constants that are named."""

_LIMIT = 1 << 31


@dataclass
class _External:
    """What the tensors want of one file of external data."""

    tensors: list[str] = field(default_factory=list)
    end: int = 0
    """The byte up to which they reach."""

    extents: list[Extent] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Lengths that are not those of the shapes."""

    refused: tuple[str, str] | None = None
    """The exception for a place that is no number, or a negative one."""


@dataclass
class _Model:
    """What has been met so far."""

    file: RegularFile
    tensors: list[Tensor] = field(default_factory=list)
    graphs_of: list[Message | None] = field(default_factory=list)
    """For each tensor the graph that it lies in."""

    constants: list[str] = field(default_factory=list)
    """Where the first of them lie."""

    constant_count: int = 0
    constant_bytes: int = 0
    wrong: list[str] = field(default_factory=list)
    external: dict[str, _External] = field(default_factory=dict)
    operators: dict[str, int] = field(default_factory=dict)
    graphs: int = 0

    def named(self) -> tuple[Tensor, ...]:
        """The tensors; a name that several graphs use is told apart by the path to its graph."""
        counts = Counter([tensor.name for tensor in self.tensors])
        if len(counts) == len(self.tensors):
            return tuple(self.tensors)
        out, room = [], MAX_PATHS
        for tensor, graph in zip(self.tensors, self.graphs_of, strict=True):
            if counts[tensor.name] > 1 and room > 0:
                path = _path(graph, tensor.name)
                room -= len(path)
                tensor = msgspec.structs.replace(tensor, name=path)
            out.append(tensor)
        return tuple(out)

    def done(self, message: Message) -> None:
        """Take what counts of a message that is complete."""
        if message.kind == "tensor":
            self._tensor(message)
        elif message.kind == "graph":
            self.graphs += 1
        elif message.kind == "node":
            name = message.text(4)[:80]
            if name in self.operators or len(self.operators) < 1000:
                self.operators[name] = self.operators.get(name, 0) + 1
        elif message.kind in ("opset", "pair") and message.parent is not None:
            kept = message.parent.fields.setdefault(message.number, [])
            if len(kept) < 200:
                kept.append((message.text(1), message.integer(2) if message.kind == "opset" else message.text(2)))
        elif message.kind == "sparse" and message.parent is not None:
            self._sparse(message)

    def _tensor(self, message: Message) -> None:
        parent = message.parent
        if parent is not None and parent.kind == "sparse":
            if message.number == 1:
                parent.fields[1] = [message]
            return
        self._take(message, tuple(message.fields.get(1, [])), "")

    def _sparse(self, message: Message) -> None:
        values = message.fields.get(1)
        if values:
            values[0].parent = message.parent
            self._take(values[0], tuple(message.fields.get(3, [])), "sparse")

    def _take(self, message: Message, shape: tuple[int, ...], role: str) -> None:
        """A tensor of a graph, or the value of a Constant node."""
        data_type = message.integer(2)
        dtype, bits = TYPES.get(data_type, ("string" if data_type == 8 else f"type {data_type}", 0))
        nbytes = max(prod(shape) * bits + 7, 0) // 8
        name = message.text(8)
        external = message.integer(14) == 1
        if external:
            self._external(message, name or dtype, nbytes)
        elif not role:
            self._check(message, name, shape, bits)
        raw = message.fields.get(9)
        parent = message.parent
        if parent is not None and parent.kind == "attribute":
            self.constant_bytes += nbytes
            self.constant_count += 1
            if len(self.constants) < _SHOWN:
                self.constants.append(_path(parent, "")[:MAX_TEXT])
            return
        if len(self.tensors) < MAX_TENSORS:
            place = raw[0] if raw and not external else None
            self.graphs_of.append(parent)
            self.tensors.append(Tensor(name, dtype, shape, nbytes, self.file.name, place, role=role))

    def _check(self, message: Message, name: str, shape: tuple[int, ...], bits: int) -> None:
        """Whether the bytes in the file are those of the shape."""
        raw = message.fields.get(9)
        if not raw or not bits:
            return
        needed = (prod(shape) * bits + 7) // 8
        if raw[1] != needed or any(size < 0 for size in shape):
            small = "small" if raw[1] < needed else "large"
            said = f"raw_data size ({raw[1]} bytes) is too {small} for the declared shape and type"
            named = f"TensorProto (tensor name: {printable(name, 80)})"
            self.wrong.append(f"{named} {said} ({needed} bytes required).")

    def _external(self, message: Message, name: str, nbytes: int) -> None:
        """Note what a tensor wants of its external file."""
        entries = {key: value for key, value in message.fields.get(13, []) if isinstance(value, str)}
        offset, length = (_number(entries.get(key, "")) for key in ("offset", "length"))
        location = entries.get("location", "")
        if location not in self.external and len(self.external) >= MAX_EXTERNAL:
            return
        wanted = self.external.setdefault(location, _External())
        wanted.tensors.append(name)
        count = nbytes if length is None else length
        wanted.end = max(wanted.end, (offset or 0) + count)
        wanted.extents.append((offset or 0, count, name))
        if count != nbytes and nbytes:
            wanted.wrong.append(f"{printable(name, 80)} has {count:,} bytes, its shape needs {nbytes:,}")
        for key, number in (("offset", offset), ("length", length)):
            if number is None and key in entries and wanted.refused is None:
                said = f"External data {key} must be non-negative, got {printable(entries[key], 40)}"
                wanted.refused = ("ValueError", f"{said} for tensor {printable(name, 80)!r}")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _path(message: Message | None, name: str) -> str:
    """Where a tensor lies: the nodes and attributes that lead to its graph, then its name."""
    steps: list[str] = [name] if name else []
    while message is not None:
        if message.kind == "node":
            steps.append(message.text(3) or message.text(2) or message.text(4))
        elif message.kind == "attribute" and message.text(1) != "value":
            steps.append(message.text(1))
        message = message.parent
    return "/".join(reversed(steps))


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the first field is a small IR version and a field of ModelProto follows; the suffix alone also counts."""
    if name.lower().endswith(".onnx"):
        return head[:4] != b"PK\x03\x04"
    return len(head) > 16 and head[0] == 8 and 3 <= head[1] <= 40 and head[2] in _FIRST_FIELDS and _plausible(head)


def _plausible(head: bytes) -> bool:
    """Whether the second field, a text, holds printable characters: the producer's name."""
    if head[2] != 0x12 or head[3] == 0:
        return head[2] == 0x3A
    text = head[4 : 4 + head[3]]
    return text.isascii() and all(32 <= byte < 127 for byte in text)


def read(file: RegularFile) -> FileReport:
    """Initialisers, versions, operators, and whether the external data are there."""
    model = _Model(file)
    problems: list[Problem] = []
    root = Message("model", 0, None, 0)
    try:
        plain = PlainTensors(file.name, model.tensors, model.graphs_of, MAX_TENSORS)
        walk = Walk(Source(file=file, window=1 << 13), model.done, plain.take)
        root = walk.root
        walk.run()
    except (WireError, FileProblem) as cut:
        error = ("DecodeError", "Error parsing message with type 'onnx.ModelProto': Wire format was corrupt")
        offset = cut.offset if isinstance(cut, WireError) else cut.problem.offset
        words = f"breaks: {cut}; {count_of(len(model.tensors), 'tensor')} could be read"
        problems.append(Problem("onnx-damaged", words, file.name, offset, loader_error=error))
    if not model.graphs and not problems:
        error = ("ValidationError", "Field 'name' of 'graph' is required to be non-empty.")
        words = f"holds no graph: it ends at byte {file.size:,}, before one begins"
        problems.append(Problem("onnx-damaged", words, file.name, file.size, loader_error=error))
    if file.size >= _LIMIT:
        words = f"has {bytes_size(file.size)}; protobuf reads less than 2 GiB"
        error = ("DecodeError", "Error parsing message with type 'onnx.ModelProto'")
        problems.append(Problem("onnx-damaged", words, file.name, _LIMIT, loader_error=error))
    problems += _contents(file, model, root)
    return FileReport(
        file.name,
        "onnx",
        file.size,
        model.named(),
        _metadata(model, root),
        tuple(problems),
        modified=file.modified,
        allocated=file.blocks,
    )


def _metadata(model: _Model, root: Message) -> dict[str, Any]:
    """Versions, producer, operators, constants and external files."""
    out: dict[str, Any] = {"ir_version": root.integer(1) or None}
    out["opset"] = {domain or "ai.onnx": version for domain, version in root.fields.get(8, [])}
    for number, key in ((2, "producer_name"), (3, "producer_version"), (4, "domain")):
        if root.text(number):
            out[key] = root.text(number)
    out.update({f"metadata.{key}": value for key, value in root.fields.get(14, [])})
    if model.constants:
        count, size = model.constant_count, model.constant_bytes
        out["constants"] = {"count": count, "bytes": size, "first": model.constants}
    out["operators"] = dict(sorted(model.operators.items(), key=lambda item: (-item[1], item[0]))[:50])
    if model.external:
        out["external_data"] = {name: item.end for name, item in list(model.external.items())[:100]}
    return out


def _contents(file: RegularFile, model: _Model, root: Message) -> list[Problem]:
    """Sizes that do not fit, versions, external files."""
    problems: list[Problem] = []
    if model.wrong:
        words = f"{count_of(len(model.wrong), 'tensor')} whose bytes do not fit the shape: {model.wrong[0]}"
        error = ("ValidationError", model.wrong[0])
        problems.append(Problem("onnx-tensor-size", words, file.name, loader_error=error))
    version = root.integer(1)
    if version > NEWEST_IR:
        words = f"has IR version {version}; onnx 1.23 checks up to {NEWEST_IR}"
        error = ("ValidationError", f"Your model ir_version {version} is higher than the checker's ({NEWEST_IR}).")
        problems.append(Problem("onnx-ir-version", words, file.name, 0, fatal=False, loader_error=error))
    for location, wanted in model.external.items():
        problem = _external_problem(file, location, wanted)
        problems += [problem] if problem is not None else _external_places(file, location, wanted)
    return problems


def _external_problem(file: RegularFile, location: str, wanted: _External) -> Problem | None:
    """Why a file of external data cannot be used, or `None`."""
    shown = printable(location, 120)
    needs = f"{count_of(len(wanted.tensors), 'tensor')} ({listing(wanted.tensors)})"
    first = f"Data of TensorProto ( tensor name: {printable(wanted.tensors[0], 80)})"
    if os.path.isabs(location) or "\0" in location:
        said = f"Location of external TensorProto ( tensor name: {printable(wanted.tensors[0], 80)}) should be a "
        error = ("ValidationError", f"{said}relative path, but it is an absolute path: {shown}")
        return Problem(
            "onnx-external-escapes", f"{needs} name the absolute path {shown}", file.name, loader_error=error
        )
    if ".." in location.replace("\\", "/").split("/"):
        error = (
            "ValidationError",
            f"{first} should be file inside the model's directory, but '{shown}' points outside",
        )
        return Problem(
            "onnx-external-escapes", f"{needs} lead out of the directory: {shown}", file.name, loader_error=error
        )
    try:
        status = os.lstat(file.path.parent / location)
    except OSError:
        error = ("ValidationError", f"{first} should be stored in {shown}, but it is not regular file.")
        words = f"{needs} lie in {shown or 'a file without a name'}, which is not here"
        return Problem("onnx-external-missing", words, file.name, loader_error=error, detail=(location,))
    if stat.S_ISLNK(status.st_mode):
        error = ("ValidationError", f"{first} should be stored in {shown}, but it is a symbolic link.")
        words = f"{needs} lie in {shown}, which is a symbolic link: onnx refuses it"
        return Problem("onnx-external-link", words, file.name, loader_error=error, detail=(location,))
    if wanted.refused is not None:
        return Problem("onnx-external-truncated", wanted.refused[1], file.name, loader_error=wanted.refused)
    if status.st_size < wanted.end:
        words = f"{needs} reach to byte {wanted.end:,} of {shown}, which has {status.st_size:,}"
        said = f"exceeds available data ({status.st_size} bytes from offset 0)"
        return Problem(
            "onnx-external-truncated", words, file.name, loader_error=("ValueError", f"External data {said}")
        )
    return None


def _external_places(file: RegularFile, location: str, wanted: _External) -> list[Problem]:
    """What `onnx.load` and the checker let pass: lengths that are not those of the shapes, tensors over one another."""
    problems: list[Problem] = []
    shown = printable(location, 120)
    if wanted.wrong:
        words = (
            f"{count_of(len(wanted.wrong), 'tensor')} in {shown} whose bytes do not fit the shape: {wanted.wrong[0]}"
        )
        problems.append(Problem("onnx-external-size", words, file.name, fatal=False, detail=tuple(wanted.wrong[1:6])))
    return problems + overlap_problems(location, overlapping(wanted.extents))
