"""`saved_model.pb` and frozen graphs: signatures, calls, versions, ops, assets, without TensorFlow.

`metadata` of the report (JSON-able, documented for `inspect --json`):

- `schema`, `format` (`tensorflow 2 saved model`, `tensorflow 1 saved model`, `tensorflow 1 hub module`);
- `meta_graphs`: for each its `tags`, `tensorflow_version`, `producer`, `min_consumer`, `nodes`, `functions`, `ops`,
  `assets`, `saver` (whether variables are restored), `signatures`
  (`{name: {"method", "inputs": {argument: {"dtype", "shape", "tensor"}}, "outputs"}}`),
  `object_graph` (whether it has one), `objects`, `attributes` (of the root), `callable` (whether it can be called), and
  `call` (`{"arguments": […], "options": [{"args", "kwargs", "output"}]}` or null).

Field numbers are those of `saved_model.proto` and `meta_graph.proto`, 2.21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.core.checkpoint import FileReport
from tui.core.formats.protobuf import BYTES, VARINT, Source, WireError, fields
from tui.core.formats.tensorflow import dtypes, messages
from tui.core.formats.tensorflow.graph import Graph, read_graph
from tui.core.formats.tensorflow.object_graph import ObjectGraph, read_object_graph
from tui.core.problems import Problem

if TYPE_CHECKING:
    from tui.core.files import RegularFile

MAX_META_GRAPHS = 64
NAME = "saved_model.pb"
_FIRST_BYTES = (b"\x0a", b"\x12", b"\x1a", b"\x22")
"""A GraphDef begins with a node, its library or its versions."""


def matches(head: bytes, name: str, size: int) -> bool:
    """Whether the name says that it is a protobuf of TensorFlow, and the content is a message at all."""
    base = name.rpartition("/")[2]
    if base == NAME:
        return size > 0
    return base.endswith((".pb", ".graphdef")) and base != "tfhub_module.pb" and head[:1] in _FIRST_BYTES


def read(file: RegularFile) -> FileReport:
    """A saved model or a frozen graph, by the name; a damaged one with what of it could be read."""
    if file.name.rpartition("/")[2] == NAME:
        return _read_saved_model(file)
    return _read_frozen(file)


def _read_saved_model(file: RegularFile) -> FileReport:
    metadata: dict[str, Any] = {"schema": None, "format": "tensorflow saved model", "meta_graphs": []}
    problems: list[Problem] = []
    source = Source(file=file)
    try:
        for number, kind, value, stop in fields(source, 0, file.size):
            if number == 1 and kind == VARINT:
                metadata["schema"] = value
            elif number == 2 and kind == BYTES and len(metadata["meta_graphs"]) < MAX_META_GRAPHS:
                part: dict[str, Any] = {}
                metadata["meta_graphs"].append(part)
                _meta_graph(source, value, stop, file.name, part)
    except WireError as error:
        problems.append(_corrupt(file, error, "tensorflow.SavedModel"))
    if not metadata["meta_graphs"] and not problems:
        problems.append(_no_graph(file))
    if metadata["meta_graphs"]:
        second = any(part.get("object_graph") for part in metadata["meta_graphs"])
        metadata["format"] = "tensorflow 2 saved model" if second else "tensorflow 1 saved model"
    return FileReport(
        file.name,
        "saved_model",
        file.size,
        (),
        metadata,
        tuple(problems),
        modified=file.modified,
        allocated=file.blocks,
    )


def _corrupt(file: RegularFile, error: WireError, kind: str) -> Problem:
    words = f"Cannot parse file b'{file.path}': Error parsing message with type '{kind}': Wire format was corrupt."
    return Problem(
        "tensorflow-pb-damaged", f"is no whole protobuf: {error.message}", file.name, error.offset,
        loader_error=("OSError", words),
    )  # fmt: skip


def _no_graph(file: RegularFile) -> Problem:
    return Problem(
        "tensorflow-pb-damaged",
        f"holds no MetaGraph in its {file.size:,} bytes",
        file.name,
        0,
        loader_error=(
            "ValueError",
            "Importing a SavedModel with `tf.saved_model.load` requires a `tags=` argument if there is more than one "
            "MetaGraph. Got `tags=None`, but there are 0 MetaGraphs in the SavedModel with tag sets: [].",
        ),
    )


def _meta_graph(source: Source, start: int, end: int, name: str, out: dict[str, Any]) -> None:
    """Fill `out` with what one MetaGraphDef says; what was read before damage stays."""
    out.update(tags=[], tensorflow_version="", signatures={}, assets=[], object_graph=False, callable=False, call=None)
    out["saver"] = False
    for number, kind, value, stop in fields(source, start, end):
        if kind != BYTES:
            continue
        if number == 1:
            _info(source, value, stop, out)
        elif number == 2:
            _add_graph(out, read_graph(source, value, stop, name))
        elif number == 3:
            out["saver"] = True
        elif number == 4:
            out["assets"] += _collection_assets(source, value, stop)
        elif number == 5:
            key, first, last = messages.map_entry(source, value, stop)
            if key != "__saved_model_init_op":
                out["signatures"][key] = _signature(source, first, last)
        elif number == 6:
            out["assets"] += _asset(source, value, stop)
        elif number == 7:
            _add_objects(out, read_object_graph(source, value, stop))
    out["assets"] = list(dict.fromkeys(out["assets"]))


def _info(source: Source, start: int, end: int, out: dict[str, Any]) -> None:
    for number, kind, value, stop in fields(source, start, end):
        if number == 4 and kind == BYTES:
            out["tags"].append(source.text(value, stop, 256))
        elif number == 5 and kind == BYTES:
            out["tensorflow_version"] = source.text(value, stop, 64)


def _add_graph(out: dict[str, Any], graph: Graph) -> None:
    out.update(
        producer=graph.producer,
        min_consumer=graph.min_consumer,
        nodes=graph.nodes + graph.function_nodes,
        functions=len(graph.functions),
        ops=sorted(graph.ops),
    )


def _add_objects(out: dict[str, Any], graph: ObjectGraph) -> None:
    call = graph.call
    usable = call is not None and bool(call.options)
    out.update(
        object_graph=True,
        objects=graph.objects,
        attributes=graph.children,
        callable=usable,
        call={"arguments": call.arguments, "options": call.options} if usable and call is not None else None,
        variables=[{"name": name, "dtype": dtype, "shape": list(shape)} for name, dtype, shape in graph.variables],
        stored=graph.stored,
        keras=graph.keras,
    )


def _signature(source: Source, start: int, end: int) -> dict[str, Any]:
    """A SignatureDef: arguments and results with dtype, shape and tensor name."""
    out: dict[str, Any] = {"method": "", "inputs": {}, "outputs": {}}
    for number, kind, value, stop in fields(source, start, end):
        if kind != BYTES:
            continue
        if number == 3:
            out["method"] = source.text(value, stop, 256)
        elif number in (1, 2):
            key, first, last = messages.map_entry(source, value, stop)
            out["inputs" if number == 1 else "outputs"][key] = _tensor_info(source, first, last)
    return out


def _tensor_info(source: Source, start: int, end: int) -> dict[str, Any]:
    out: dict[str, Any] = {"dtype": "", "shape": None, "tensor": ""}
    for number, kind, value, stop in fields(source, start, end):
        if number == 1 and kind == BYTES:
            out["tensor"] = source.text(value, stop, 512)
        elif number == 2 and kind == VARINT:
            out["dtype"] = dtypes.name_of(value)
        elif number == 3 and kind == BYTES:
            out["shape"] = messages.shape(source, value, stop)
        elif number in (4, 5) and kind == BYTES:
            out["composite"] = "sparse" if number == 4 else "composite"
    return out


def _asset(source: Source, start: int, end: int) -> list[str]:
    """The file name of an AssetFileDef."""
    return [
        source.text(first, last, 1024) for tag, kind, first, last in fields(source, start, end) if (tag, kind) == (2, 2)
    ]


def _collection_assets(source: Source, start: int, end: int) -> list[str]:
    """Assets that TensorFlow 1 keeps in the collection `saved_model_assets`, each wrapped in an `Any`."""
    key, first, last = messages.map_entry(source, start, end)
    if key != "saved_model_assets":
        return []
    out: list[str] = []
    for number, kind, value, stop in fields(source, first, last):
        if number != 5 or kind != BYTES:
            continue
        for tag, wire, begin, finish in fields(source, value, stop):
            if tag == 1 and wire == BYTES:
                for inner, form, one, two in fields(source, begin, finish):
                    if inner == 2 and form == BYTES:
                        out += _asset(source, one, two)
    return out


def _read_frozen(file: RegularFile) -> FileReport:
    """A bare GraphDef with its weights as constants."""
    source = Source(file=file)
    report = FileReport(file.name, "tensorflow_graph", file.size, modified=file.modified, allocated=file.blocks)
    try:
        graph = read_graph(source, 0, file.size, file.name, whole=True)
    except WireError as error:
        return report.with_problems(_corrupt(file, error, "tensorflow.GraphDef"))
    if not graph.nodes:
        words = f"holds no node in its {file.size:,} bytes: no graph of TensorFlow"
        return report.with_problems(Problem("file-not-a-checkpoint", words, file.name, 0))
    metadata = {
        "producer": graph.producer,
        "min_consumer": graph.min_consumer,
        "nodes": graph.nodes,
        "functions": len(graph.functions),
        "ops": sorted(graph.ops),
        "inputs": graph.placeholders,
        "outputs": graph.outputs,
    }
    return FileReport(
        file.name, "tensorflow_graph", file.size, tuple(graph.constants), metadata,
        modified=file.modified, allocated=file.blocks,
    )  # fmt: skip
