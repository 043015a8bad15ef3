from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.tables import field
from tui.core.formats import onnx as reader
from tui.core.formats import read_file

if TYPE_CHECKING:
    from tui.core.checkpoint import FileReport

onnx = pytest.importorskip("onnx")
numpy = pytest.importorskip("numpy")


def _graph(name: str, initialisers: list[Any], nodes: list[Any]) -> Any:
    value = onnx.helper.make_tensor_value_info
    return onnx.helper.make_graph(nodes, name, [value("x", 1, [1, 4])], [value("y", 1, [1, 4])], initialisers)


def _model(initialisers: list[Any], nodes: list[Any] | None = None) -> Any:
    nodes = nodes or [onnx.helper.make_node("MatMul", ["x", "W"], ["y"])]
    return onnx.helper.make_model(_graph("g", initialisers, nodes), producer_name="test")


def _array(name: str, *shape: int, dtype: str = "float32") -> Any:
    return onnx.numpy_helper.from_array(numpy.ones(shape, dtype), name)


def _save(path: Path, model: Any) -> FileReport:
    onnx.save(model, path)
    return read_file(path, path.name)


def _codes(report: FileReport) -> set[str]:
    return {problem.code for problem in report.problems}


DTYPES = {
    "float32": "F32", "float64": "F64", "float16": "F16", "int8": "I8", "uint8": "U8", "int16": "I16", "uint16": "U16",
    "int32": "I32", "int64": "I64", "uint32": "U32", "uint64": "U64", "bool": "BOOL", "complex64": "C64",
}  # fmt: skip


def test_initialisers_are_as_onnx_has_them(tmp_path: Path) -> None:
    arrays = [_array(dtype, 3, 2, dtype=dtype) for dtype in DTYPES]
    typed = onnx.helper.make_tensor("typed", 1, [2, 2], [1.0, 2.0, 3.0, 4.0])
    words = onnx.helper.make_tensor("words", 8, [2], [b"one", b"two"])
    report = _save(tmp_path / "m.onnx", _model([*arrays, typed, words]))
    assert report.problems == ()
    loaded = {item.name: item for item in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert [item.name for item in report.tensors] == list(loaded)
    raw = (tmp_path / "m.onnx").read_bytes()
    for item in report.tensors:
        assert item.shape == tuple(loaded[item.name].dims)
        assert item.dtype == {**DTYPES, "typed": "F32", "words": "string"}[item.name]
        if loaded[item.name].HasField("raw_data"):
            assert item.offset is not None
            assert raw[item.offset : item.offset + item.nbytes] == loaded[item.name].raw_data
    assert report.metadata["producer_name"] == "test"
    assert report.metadata["opset"] == {"ai.onnx": loaded and onnx.load(tmp_path / "m.onnx").opset_import[0].version}


def test_subgraphs_constants_and_sparse_tensors(tmp_path: Path) -> None:
    then = _graph("then", [_array("W", 4, 4), _array("inner", 2)], [onnx.helper.make_node("Identity", ["W"], ["y"])])
    constant = onnx.helper.make_node("Constant", [], ["c"], name="const", value=_array("", 7))
    branch = onnx.helper.make_node("If", ["x"], ["y"], name="if", then_branch=then, else_branch=then)
    model = _model([_array("W", 4, 4)], [constant, branch])
    sparse = onnx.helper.make_sparse_tensor(_array("sparse", 2), _array("", 2, dtype="int64"), [10])
    model.graph.sparse_initializer.append(sparse)
    report = _save(tmp_path / "m.onnx", model)
    assert {item.name: (item.shape, item.role) for item in report.tensors} == {
        "W": ((4, 4), ""),
        "if/then_branch/inner": ((2,), ""),
        "if/else_branch/inner": ((2,), ""),
        "if/then_branch/W": ((4, 4), ""),
        "if/else_branch/W": ((4, 4), ""),
        "sparse": ((10,), "sparse"),
    }
    assert report.metadata["constants"] == {"count": 1, "bytes": 28, "first": ["const"]}
    assert report.metadata["operators"]["If"] == 1


def _external(directory: Path) -> Path:
    path = directory / "m.onnx"
    onnx.save(_model([_array("W", 4, 4)]), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def _said(path: Path) -> str:
    with pytest.raises((ValueError, onnx.checker.ValidationError)) as caught:
        onnx.load(path)
    return str(caught.value)


def test_external_data(tmp_path: Path) -> None:
    path = _external(tmp_path)
    report = read_file(path, path.name)
    assert report.problems == ()
    assert report.metadata["external_data"] == {"w.bin": 64}
    assert [(item.name, item.shape) for item in report.tensors] == [("W", (4, 4))]
    data = tmp_path / "w.bin"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    assert _codes(read_file(path, path.name)) == {"onnx-external-truncated"}
    assert "exceeds available data (63 bytes" in _said(path)
    data.rename(tmp_path / "other.bin")
    report = read_file(path, path.name)
    assert _codes(report) == {"onnx-external-missing"}
    assert "is not regular file" in _said(path)
    assert "is not regular file" in str(report.problems[0].loader_error)
    data.symlink_to(tmp_path / "other.bin")
    assert _codes(read_file(path, path.name)) == {"onnx-external-link"}
    assert "it is a symbolic link" in _said(path)


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret.bin", "a/../../secret.bin"])
def test_external_data_must_stay_in_the_directory(tmp_path: Path, location: str) -> None:
    path = _external(tmp_path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    path.write_bytes(model.SerializeToString())
    assert _codes(read_file(path, path.name)) == {"onnx-external-escapes"}
    assert _said(path)


def test_cut_at_every_byte_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_model([_array("W", 4, 4)]), path)
    whole = path.read_bytes()
    refused = 0
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        report = read_file(path, path.name)
        try:
            onnx.load(path)
        except Exception:
            refused += 1
            assert report.fatal is not None, length
            assert report.fatal.code == "onnx-damaged"
            assert report.fatal.offset is not None
    assert refused > len(whole) // 2
    for extra in (b"\xff\xff\xff", b"\0\0\0", b"PK\x03\x04"):
        path.write_bytes(whole + extra)
        assert _codes(read_file(path, path.name)) == {"onnx-damaged"}
        with pytest.raises(Exception, match="Error parsing message"):
            onnx.load(path)


def test_bytes_that_do_not_fit_the_shape(tmp_path: Path) -> None:
    tensor = _array("W", 4, 4)
    tensor.raw_data = tensor.raw_data[:-4]
    report = _save(tmp_path / "m.onnx", _model([tensor]))
    assert _codes(report) == {"onnx-tensor-size"}
    with pytest.raises(onnx.checker.ValidationError) as caught:
        onnx.checker.check_model(tmp_path / "m.onnx")
    assert report.problems[0].loader_error is not None
    assert report.problems[0].loader_error[1] in str(caught.value)


def test_a_newer_ir_version_is_a_warning(tmp_path: Path) -> None:
    model = _model([_array("W", 4, 4)])
    model.ir_version = 99
    report = _save(tmp_path / "m.onnx", model)
    assert _codes(report) == {"onnx-ir-version"}
    assert report.fatal is None


def test_deep_and_absurd_messages(tmp_path: Path) -> None:
    inner = b""
    for _ in range(3000):  # graph → node → attribute → graph, ever deeper
        inner = _wrapped(0x0A, _wrapped(0x2A, _wrapped(0x32, inner)))
        if len(inner) > 200_000:
            break
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08" + _wrapped(0x3A, inner))
    assert _codes(read_file(tmp_path / "m.onnx", "m.onnx")) == {"onnx-damaged"}
    for tail in (b"\x3a" + b"\xff" * 9 + b"\x01", b"\x3a" + b"\x80" * 20, b"\x3b", b"\x02\x01"):
        (tmp_path / "m.onnx").write_bytes(b"\x08\x08" + tail)
        assert _codes(read_file(tmp_path / "m.onnx", "m.onnx")) == {"onnx-damaged"}


def _wrapped(tag: int, data: bytes) -> bytes:
    size, out = len(data), bytearray([tag])
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(out) + bytes([size]) + data


def test_recognised_without_its_suffix(tmp_path: Path) -> None:
    report = _save(tmp_path / "model.bin", _model([_array("W", 4, 4)]))
    assert (report.format, len(report.tensors)) == ("onnx", 1)


def test_the_models_of_silero(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        pytest.skip("silero-vad is not installed here")
    files = sorted((Path(spec.origin).parent / "data").glob("*.onnx"))
    assert files
    for path in files:
        report = read_file(path, path.name)
        expected = [item for graph in _graphs(onnx.load(path).graph) for item in graph.initializer]
        assert report.problems == ()
        assert sorted((item.shape, item.nbytes) for item in report.tensors) == sorted(
            (tuple(item.dims), onnx.numpy_helper.to_array(item).nbytes) for item in expected
        )
        assert {item.name for item in onnx.load(path).graph.initializer} <= {item.name for item in report.tensors}


def _graphs(graph: Any) -> list[Any]:
    out = [graph]
    for node in graph.node:
        for attribute in node.attribute:
            out += [inner for item in [attribute.g, *attribute.graphs] if item.node for inner in _graphs(item)]
    return out


def test_a_file_that_ends_before_its_graph_is_no_model(tmp_path: Path) -> None:
    whole = _model([_array("W", 4, 4)])
    whole.ClearField("graph")
    report = _save(tmp_path / "m.onnx", whole)
    with pytest.raises(onnx.checker.ValidationError) as raised:
        onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"))
    assert report.fatal is not None
    assert report.fatal.loader_error is not None
    assert report.fatal.loader_error[1] in str(raised.value)


@pytest.mark.parametrize("constant", [False, True])
def test_paths_of_long_names_take_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant: bool
) -> None:
    """Fifteen graphs in one another, each below a node of a long name, and thousands of tensors of one name inside."""
    monkeypatch.setattr(reader, "MAX_PATHS", 1 << 20)
    inner = field(2, 1) + field(8, b"same")
    graph = field(1, field(5, field(1, b"value") + field(5, inner))) if constant else field(5, inner)
    graph *= 2000
    for _ in range(15):
        graph = field(1, field(3, b"n" * 10_000) + field(5, field(1, b"sub") + field(6, graph)))
    (tmp_path / "m.onnx").write_bytes(field(1, 8) + field(7, graph))
    report = read_file(tmp_path / "m.onnx", "m.onnx")
    assert report.problems == ()
    if constant:
        constants = report.metadata["constants"]
        assert (constants["count"], len(constants["first"])) == (2000, 20)
        assert sum(map(len, constants["first"])) <= 20 << 16
    else:
        assert len(report.tensors) == 2000
        assert report.tensors[0].name.startswith("nnn") and report.tensors[0].name.endswith("/sub/same")
        assert sum(len(tensor.name) for tensor in report.tensors) < 2 << 20


def test_a_node_is_named_in_paths_though_its_name_follows_its_graph(tmp_path: Path) -> None:
    inner = field(5, field(2, 1) + field(8, b"same"))
    node = field(1, field(5, field(1, b"sub") + field(6, inner)) + field(3, b"late"))
    (tmp_path / "m.onnx").write_bytes(field(1, 8) + field(7, inner + node))
    report = read_file(tmp_path / "m.onnx", "m.onnx")
    assert {tensor.name for tensor in report.tensors} == {"same", "late/sub/same"}


def test_a_file_cut_anywhere_lists_the_tensors_that_are_whole(tmp_path: Path) -> None:
    arrays = [_array(name, 2, size) for size, name in enumerate(("a", "b", "c"), 1)]
    inner = _graph("inner", [_array("inside", 5)], [onnx.helper.make_node("Identity", ["x"], ["y"])])
    branch = onnx.helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    whole = _save(tmp_path / "whole.onnx", _model(arrays, [branch]))
    data = (tmp_path / "whole.onnx").read_bytes()
    ends = sorted((tensor.offset or 0) + tensor.nbytes for tensor in whole.tensors)
    path = tmp_path / "cut.onnx"
    for size in range(3, ends[-1] + 1):
        path.write_bytes(data[:size])
        report = read_file(path, path.name)
        assert report.fatal is not None and report.fatal.code == "onnx-damaged", size
        assert len(report.tensors) == sum(end <= size for end in ends), size
        assert report.metadata["ir_version"] == whole.metadata["ir_version"]
