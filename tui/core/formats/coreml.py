"""CoreML's `.mlmodel`: the specification version and the kind of model (field numbers of `Model.proto`)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.formats.protobuf import BYTES, VARINT, Source, WireError, fields
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


MAX_FIELDS = 10_000


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the name is CoreML's and the first field a small version number."""
    return name.lower().endswith(".mlmodel") and head[:1] == b"\x08"


def read(file: RegularFile) -> FileReport:
    """Version, kind, size."""
    metadata: dict[str, Any] = {"specification_version": None, "model": None}
    problems: tuple[Problem, ...] = ()
    try:
        source = Source(file=file, window=1 << 12)
        for number, kind, value, _ in islice(fields(source, 0, file.size), MAX_FIELDS):
            if kind == VARINT and number == 1:
                metadata["specification_version"] = value
            elif kind == BYTES and number in _KINDS:
                metadata["model"] = _KINDS[number]
    except WireError as broken:
        problems = (Problem("coreml-damaged", f"breaks: {broken}", file.name, broken.offset),)
    return FileReport(
        file.name, "coreml", file.size, (), metadata, problems, modified=file.modified, allocated=file.blocks
    )
