"""CoreML's `.mlmodel`: the specification version and the kind of model (field numbers of `Model.proto`).

Of an ML program the constants are listed whose bytes lie in `weights/weight.bin` beside it (`coreml_weights`). Weights
inside the layers of an older neural network are not listed; `metadata["weights"]` says where they are.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.formats.protobuf import BYTES, VARINT, Source, WireError, fields
from tui.core.problems import Problem
from tui.core.record import Record
from tui.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.files import RegularFile

_KINDS = {
    200: "pipelineClassifier", 201: "pipelineRegressor", 202: "pipeline", 300: "glmRegressor",
    301: "supportVectorRegressor", 302: "treeEnsembleRegressor", 303: "neuralNetworkRegressor",
    304: "bayesianProbitRegressor", 400: "glmClassifier", 401: "supportVectorClassifier",
    402: "treeEnsembleClassifier", 403: "neuralNetworkClassifier", 404: "kNearestNeighborsClassifier",
    500: "neuralNetwork", 501: "itemSimilarityRecommender", 502: "mlProgram", 555: "customModel", 556: "linkedModel",
    600: "oneHotEncoder", 900: "identity",
}  # fmt: skip
_PROGRAM = 502
MAX_FIELDS = 10_000
MAX_OPERATIONS = 200_000
_WINDOW = 1 << 16

DTYPES = {
    1: "BOOL", 10: "F16", 11: "F32", 12: "F64", 13: "BF16", 21: "I8", 22: "I16", 23: "I32", 24: "I64", 31: "U8",
    32: "U16", 33: "U32", 34: "U64", 40: "F8_E4M3", 41: "F8_E5M2", 25: "I4", 35: "U4", 36: "U2", 37: "U1", 38: "U6",
    39: "U3",
}  # fmt: skip
"""`DataType` of `MIL.proto` (coremltools 9.0)."""


class Constant(Record, frozen=True):
    """A constant of an ML program whose bytes lie in a file beside it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: str
    """As the program says it, relative to the model's directory."""

    offset: int
    """Of the description of its bytes in that file."""

    place: int
    """Where the program names it, in bytes of the model file."""


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether a version number begins it, and the name says CoreML or a description of inputs follows."""
    if head[:1] != b"\x08":
        return False
    return name.lower().endswith(".mlmodel") or _begins_with_inputs(head)


def _begins_with_inputs(head: bytes) -> bool:
    """Whether the second field begins as `ModelDescription` does with its first input: a message that holds a name."""
    if len(head) < 16 or not 1 <= head[1] <= 20 or head[2] != 0x12:
        return False
    at = 3 + (2 if head[3] >= 0x80 else 1)
    return head[at] == 0x0A and head[at + 2] == 0x0A and 0 < head[at + 3] < head[at + 1]


def read(file: RegularFile) -> FileReport:
    """Version, kind, size."""
    metadata: dict[str, Any] = {"specification_version": None, "model": None}
    problems: tuple[Problem, ...] = ()
    try:
        for number, kind, value, _ in islice(_top(file), MAX_FIELDS):
            if kind == VARINT and number == 1:
                metadata["specification_version"] = value
            elif kind == BYTES and number in _KINDS:
                metadata["model"] = _KINDS[number]
                held = "in weights/weight.bin of the package" if number == _PROGRAM else "in the layers, not listed"
                metadata["weights"] = held
    except WireError as broken:
        problems = (Problem("coreml-damaged", f"breaks: {broken}", file.name, broken.offset),)
    if not problems and metadata["model"] is None:
        words = f"holds no model: no known kind among its fields in {file.size:,} bytes"
        problems = (Problem("coreml-damaged", words, file.name, file.size),)
    return FileReport(
        file.name, "coreml", file.size, (), metadata, problems, modified=file.modified, allocated=file.blocks
    )


def _top(file: RegularFile) -> Iterator[tuple[int, int, int, int]]:
    return fields(Source(file=file, window=1 << 12), 0, file.size)


def constants(file: RegularFile) -> Iterator[Constant]:
    """Constants in files beside the program, in its order; `WireError` where the program breaks."""
    source = Source(file=file, window=_WINDOW)
    for number, kind, start, end in fields(source, 0, file.size):
        if number == _PROGRAM and kind == BYTES:
            for operation in islice(_operations(source, start, end), MAX_OPERATIONS):
                yield from _of_operation(source, *operation)


def _operations(source: Source, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Every `Operation` of every function, those of nested blocks too; the walk is a stack of blocks."""
    blocks = []
    for function in _messages(source, start, end, 2, 2):
        blocks += list(_messages(source, *function, 3, 2))
    blocks.reverse()
    while blocks:
        inner: list[tuple[int, int]] = []
        for operation in _messages(source, *blocks.pop(), 3):
            yield operation
            inner += _messages(source, *operation, 4)
        blocks += reversed(inner)


def _messages(source: Source, start: int, end: int, *numbers: int) -> Iterator[tuple[int, int]]:
    """Where the messages lie to which these fields lead."""
    first, *rest = numbers
    for number, kind, begin, stop in fields(source, start, end):
        if number == first and kind == BYTES:
            if rest:
                yield from _messages(source, begin, stop, *rest)
            else:
                yield begin, stop


def _text(source: Source, start: int, end: int, *numbers: int) -> str:
    """The first text to which these fields lead, empty where there is none."""
    for begin, stop in _messages(source, start, end, *numbers):
        return printable(source.text(begin, stop), 1000)
    return ""


def _of_operation(source: Source, start: int, end: int) -> Iterator[Constant]:
    """Attributes whose value lies in a file: `val` of a `const` under the operation's own name, others with theirs."""
    output = ""
    for begin, stop in _messages(source, start, end, 5):
        for value in _messages(source, begin, stop, 2):
            for blob in _messages(source, *value, 5):
                output = output or _text(source, start, end, 3, 1)
                key = _text(source, begin, stop, 1)
                dtype, shape = _type(source, *value)
                offsets = [item for number, kind, item, _ in fields(source, *blob) if (number, kind) == (2, VARINT)]
                name = output if key == "val" else f"{output}.{key}"
                path = _text(source, *blob, 1).removeprefix("@model_path/")
                yield Constant(name, dtype, shape, path, offsets[-1] if offsets else 0, begin)


def _type(source: Source, start: int, end: int) -> tuple[str, tuple[int, ...]]:
    """Dtype and shape of a value; a size that is not constant counts as none."""
    for begin, stop in _messages(source, start, end, 2, 1):
        code = 0
        shape: list[int] = []
        for number, kind, value, last in fields(source, begin, stop):
            if (number, kind) == (1, VARINT):
                code = value
            elif (number, kind) == (3, BYTES) and len(shape) < 64:
                sizes = [fields(source, *at) for at in _messages(source, value, last, 1)]
                shape += [item for field in sizes for number, kind, item, _ in field if (number, kind) == (1, VARINT)]
        return DTYPES.get(code, f"type {code}"), tuple(shape)
    return "unknown", ()
