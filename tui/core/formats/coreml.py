"""CoreML's `.mlmodel`: the specification version and the kind of model (field numbers of `Model.proto`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.formats.cursor import Cursor, CutShort
from tui.core.formats.onnx_wire import varint
from tui.core.problems import Problem

if TYPE_CHECKING:
    from tui.core.files import RegularFile

_KINDS = {
    200: "pipelineClassifier", 201: "pipelineRegressor", 202: "pipeline", 300: "glmRegressor",
    301: "supportVectorRegressor", 302: "treeEnsembleRegressor", 303: "neuralNetworkRegressor",
    304: "bayesianProbitRegressor", 400: "glmClassifier", 401: "supportVectorClassifier",
    402: "treeEnsembleClassifier", 403: "neuralNetworkClassifier", 404: "kNearestNeighborsClassifier",
    500: "neuralNetwork", 501: "itemSimilarityRecommender", 502: "mlProgram", 555: "customModel", 556: "linkedModel",
    600: "oneHotEncoder", 900: "identity",
}  # fmt: skip


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the name is CoreML's and the first field a small version number."""
    return name.lower().endswith(".mlmodel") and head[:1] == b"\x08"


def read(file: RegularFile) -> FileReport:
    """Version, kind, size."""
    metadata: dict[str, Any] = {"specification_version": None, "model": None}
    problems: tuple[Problem, ...] = ()
    try:
        _walk(Cursor(file, window=1 << 12), metadata)
    except CutShort as cut:
        words = f"breaks at byte {cut.offset:,}: {cut}"
        problems = (Problem("coreml-damaged", words, file.name, cut.offset),)
    return FileReport(
        file.name, "coreml", file.size, (), metadata, problems, modified=file.modified, allocated=file.blocks
    )


def _walk(cursor: Cursor, metadata: dict[str, Any]) -> None:
    """The fields at the top; messages are stepped over."""
    for _ in range(10_000):
        if not cursor.remaining:
            return
        at = cursor.position
        tag = varint(cursor)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value = varint(cursor)
            if number == 1:
                metadata["specification_version"] = value
        elif wire in (1, 5):
            cursor.skip(8 if wire == 1 else 4)
        elif wire == 2:
            cursor.skip(varint(cursor))
            if number in _KINDS:
                metadata["model"] = _KINDS[number]
        else:
            raise CutShort(f"a field of wire type {wire}", at)
