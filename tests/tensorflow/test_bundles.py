from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.tables import EMPTY_BLOCK, sealed, varint
from tests.conftest import SAMPLES
from tui.core.assemble import read_directory, read_one_file, read_prefix
from tui.core.formats.tensorflow.crc32c import crc32c
from tui.core.formats.tensorflow.table import TableError, unsnappy
from tui.triage.paths import checkpoints

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import Checkpoint

pytestmark = pytest.mark.loader
tf = pytest.importorskip("tensorflow")


def _real(prefix: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    reader = tf.train.load_checkpoint(str(prefix))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    return {name: (dtypes[name].name, tuple(shapes[name])) for name in shapes}


_NAMES = {
    "F32": "float32", "F64": "float64", "I64": "int64", "I32": "int32", "BF16": "bfloat16", "STRING": "string",
    "BOOL": "bool", "F16": "float16", "I8": "int8", "I16": "int16", "U8": "uint8", "U16": "uint16", "U32": "uint32",
    "U64": "uint64", "C64": "complex64", "C128": "complex128",
}  # fmt: skip


def _ours(checkpoint: Checkpoint) -> dict[str, tuple[str, tuple[int, ...]]]:
    assert not checkpoint.all_problems()
    return {tensor.name: (_NAMES[tensor.dtype], tensor.shape) for tensor in checkpoint.tensors}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from tests.builders import bundles

    root = tmp_path_factory.mktemp("bundles")
    return {
        "object-based": bundles.object_based(root / "two" / "ckpt-7"),
        "name-based": bundles.name_based(root / "one" / "bert_model.ckpt"),
        "sharded": bundles.name_based(root / "shards" / "bert_model.ckpt", sharded=True),
        "many": bundles.many_names(root / "many" / "model.ckpt"),
        "hidden": bundles.many_names(root / "hidden" / "x", 3),
        "v1": bundles.first_version(root / "first" / "model.ckpt-1"),
        "every dtype": bundles.every_dtype(root / "dtypes" / "model.ckpt"),
        "partitioned": bundles.partitioned(root / "parts" / "model.ckpt"),
        "partitioned into many": bundles.partitioned(root / "thirty" / "model.ckpt", 30, 90),
        "partitioned and sharded": bundles.partitioned(root / "both" / "model.ckpt", sharded=True),
        "merged": bundles.merged(root / "merged" / "model.ckpt"),
        "trained": bundles.trained(root / "trained" / "ckpt-3"),
        "v1 of many": bundles.first_version_of_many(root / "old" / "model.ckpt-300"),
    }


KINDS = (
    "object-based", "name-based", "sharded", "many", "hidden", "v1", "every dtype", "partitioned",
    "partitioned into many", "partitioned and sharded", "merged", "trained", "v1 of many",
)  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_names_dtypes_and_shapes_are_those_of_load_checkpoint(made: dict[str, Path], name: str) -> None:
    prefix = made[name]
    real = _real(prefix)
    directory = read_directory(prefix.parent, "x")
    assert directory.kind == "tensorflow_checkpoint"
    assert _ours(directory) == real
    assert len(real) > 1
    alone = checkpoints([str(prefix)])
    assert [_ours(item) for item in alone] == [real]
    assert [item.kind for item in alone] == ["tensorflow_checkpoint"]


SAVED_MODELS = ("tfhub-bert-v3", "tfhub-bert-v2-list", "tfhub-bert-v1", "tensorflow1-bert", "tfhub-bert-preprocess")


@pytest.mark.parametrize("name", SAVED_MODELS)
def test_variables_of_saved_models_are_those_of_load_checkpoint(name: str) -> None:
    checkpoint = read_directory(SAMPLES / name, name)
    assert _ours(checkpoint) == _real(SAMPLES / name / "variables" / "variables")


def test_a_checkpoint_of_nothing_has_its_bookkeeping_only(tmp_path: Path) -> None:
    tf.train.Checkpoint().write(str(tmp_path / "ckpt"))
    checkpoint = read_prefix(tmp_path / "ckpt", "x")
    assert _ours(checkpoint) == _real(tmp_path / "ckpt")
    assert {tensor.role for tensor in checkpoint.tensors} == {"bookkeeping"}


def test_every_tensor_lies_where_the_reader_says(made: dict[str, Path]) -> None:
    prefix = made["object-based"]
    reader = tf.train.load_checkpoint(str(prefix))
    seen = 0
    for tensor in read_prefix(prefix, "x").tensors:
        if tensor.dtype in ("STRING", "BOOL"):
            continue
        assert tensor.offset is not None
        data = (prefix.parent / tensor.file).read_bytes()[tensor.offset : tensor.offset + tensor.nbytes]
        assert data == reader.get_tensor(tensor.name).tobytes()
        seen += 1
    assert seen == 4


def test_optimizer_slots_are_told_apart(made: dict[str, Path]) -> None:
    roles = {tensor.name: tensor.role for tensor in read_prefix(made["name-based"], "x").tensors}
    assert roles["bert/pooler/dense/kernel/adam_m"] == "optimizer"
    assert roles["bert/pooler/dense/kernel"] == ""


def test_a_prefix_may_be_empty(made: dict[str, Path], tmp_path: Path) -> None:
    for path in made["hidden"].parent.iterdir():
        (tmp_path / path.name.removeprefix("x")).write_bytes(path.read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".data-00000-of-00001", ".index"]
    checkpoint = read_directory(tmp_path, "x")
    assert checkpoint.kind == "tensorflow_checkpoint"
    assert len(checkpoint.tensors) == 3


def _copy(prefix: Path, target: Path) -> Path:
    for path in prefix.parent.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target / prefix.name


def _fails(prefix: Path) -> Exception:
    """What TensorFlow raises when every tensor is read."""
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception as error:
        return error
    raise AssertionError("TensorFlow reads it")


def _codes(prefix: Path) -> set[str]:
    return {problem.code for problem in read_prefix(prefix, "x").all_problems()}


DAMAGES: dict[str, Any] = {
    "tensorflow-shard-truncated": lambda prefix, data: data.write_bytes(data.read_bytes()[:-7]),
    "tensorflow-shard-missing": lambda prefix, data: data.unlink(),
    "tensorflow-index-missing": lambda prefix, data: prefix.with_name(prefix.name + ".index").unlink(),
}


@pytest.mark.parametrize("code", DAMAGES)
def test_damage_is_found_where_tensorflow_fails(made: dict[str, Path], tmp_path: Path, code: str) -> None:
    prefix = _copy(made["name-based"], tmp_path)
    assert _codes(prefix) == set()
    [data] = [path for path in tmp_path.iterdir() if ".data-" in path.name]
    DAMAGES[code](prefix, data)
    assert _codes(prefix) == {code}
    _fails(prefix)


def test_an_index_cut_at_every_byte_is_found(made: dict[str, Path], tmp_path: Path) -> None:
    prefix = _copy(made["object-based"], tmp_path)
    index = prefix.with_name(prefix.name + ".index")
    whole = index.read_bytes()
    for size in range(0, len(whole), 13):
        index.write_bytes(whole[:size])
        assert _codes(prefix) & {"tensorflow-index-damaged", "file-empty-file"}, size
    index.write_bytes(whole[: len(whole) // 2])
    assert "not an sstable" in str(_fails(prefix)) or "too short" in str(_fails(prefix))


def test_a_flipped_bit_of_the_index_is_found(made: dict[str, Path], tmp_path: Path) -> None:
    prefix = _copy(made["object-based"], tmp_path)
    index = prefix.with_name(prefix.name + ".index")
    whole = bytearray(index.read_bytes())
    whole[20] ^= 4
    index.write_bytes(whole)
    [problem] = read_prefix(prefix, "x").all_problems()
    assert problem.code == "tensorflow-checksum"
    assert problem.loader_error is not None
    error = _fails(prefix)
    assert "block checksum mismatch" in str(error)
    assert "block checksum mismatch" in problem.loader_error[1]


def test_a_foreign_number_of_shards_is_named(made: dict[str, Path], tmp_path: Path) -> None:
    prefix = _copy(made["name-based"], tmp_path)
    [data] = [path for path in tmp_path.iterdir() if ".data-" in path.name]
    data.rename(data.with_name(f"{prefix.name}.data-00000-of-00004"))
    [problem] = read_prefix(prefix, "x").all_problems()
    assert problem.code == "tensorflow-shard-missing"
    assert "a set of 4" in problem.message


def test_the_checkpoint_file_of_another_machine_is_named(made: dict[str, Path], tmp_path: Path) -> None:
    prefix = _copy(made["name-based"], tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/home/ann/run/bert_model.ckpt"\n', "utf-8")
    codes = {problem.code for problem in read_directory(tmp_path, "x").all_problems()}
    assert codes == {"tensorflow-ckpt-prefix"}
    assert tf.train.latest_checkpoint(str(tmp_path)) is None
    assert _real(prefix)


def test_an_index_file_alone_is_read_as_its_prefix(made: dict[str, Path]) -> None:
    path = made["name-based"].with_name("bert_model.ckpt.index")
    checkpoint = read_one_file(path, "x")
    assert checkpoint.kind == "tensorflow_checkpoint"
    assert _ours(checkpoint) == _real(made["name-based"])


def test_crc32c_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_snappy_blocks_are_undone() -> None:
    assert unsnappy(b"\x05\x10hello") == b"hello"
    assert unsnappy(b"\x0b\x08abc\x11\x03") == b"abcabcabcab"
    for bad in (b"\x05\x10hell", b"\x0a\x00a\x11\x03", b"\xff\xff\xff\x7f\x00a", b""):
        with pytest.raises(TableError):
            unsnappy(bad)


def _compressed_index(index: bytes) -> bytes:
    """The same index with its one data block as a snappy literal, as TensorFlow's reader accepts."""
    from tui.core.formats.tensorflow.table import MAGIC, _handle, _number

    _, at = _handle(index[-48:], 0)
    (place, size), _ = _handle(index[-48:], at)
    block = index[place : place + size]
    shared, at = _number(block, 0)
    fresh, at = _number(block, at)
    _, at = _number(block, at)
    key = block[at : at + fresh]
    assert shared == 0
    data_place, _ = _handle(block, at + fresh)
    assert data_place[0] == 0
    data = index[: data_place[1]]
    pieces = b"".join(
        b"\xf4" + (len(data[at : at + 60_000]) - 1).to_bytes(2, "little") + data[at : at + 60_000]
        for at in range(0, len(data), 60_000)
    )
    packed = varint(len(data)) + pieces
    out = sealed(packed, 1)
    meta = (len(out), 8)
    out += sealed(EMPTY_BLOCK)
    handle = varint(0) + varint(len(packed))
    entry = b"\0" + varint(len(key)) + varint(len(handle)) + key + handle + EMPTY_BLOCK
    footer = varint(meta[0]) + varint(meta[1]) + varint(len(out)) + varint(len(entry))
    return out + sealed(entry) + footer.ljust(40, b"\0") + MAGIC


def test_a_compressed_index_is_read_as_tensorflow_reads_it(made: dict[str, Path], tmp_path: Path) -> None:
    prefix = _copy(made["object-based"], tmp_path)
    index = prefix.with_name(prefix.name + ".index")
    index.write_bytes(_compressed_index(index.read_bytes()))
    checkpoint = read_prefix(prefix, "x")
    assert checkpoint.files[0].metadata["compressed"] is True
    assert _ours(checkpoint) == _real(prefix)


def test_a_frozen_graph_is_read(tmp_path: Path) -> None:
    from tests.builders.bundles import frozen_graph

    path = frozen_graph(tmp_path / "frozen.pb")
    checkpoint = read_one_file(path, "x")
    assert checkpoint.kind == "tensorflow_graph"
    assert not checkpoint.all_problems()
    metadata = checkpoint.files[0].metadata
    assert metadata["inputs"] == [{"name": "ids", "dtype": "int32", "shape": [None, 4]}]
    assert metadata["outputs"] == ["pooled"]
    assert "GatherV2" in metadata["ops"]
    [table] = [tensor for tensor in checkpoint.tensors if tensor.name == "table"]
    assert (table.dtype, table.shape, table.nbytes) == ("F32", (10, 300), 12_000)
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    [node] = [node for node in graph.node if node.name == "table"]
    assert table.offset is not None
    assert path.read_bytes()[table.offset : table.offset + 12_000] == node.attr["value"].tensor.tensor_content
    path.write_bytes(path.read_bytes()[:5000])
    assert {problem.code for problem in read_one_file(path, "x").all_problems()} == {"tensorflow-pb-damaged"}


def test_blocks_that_lie_in_one_another_are_refused(made: dict[str, Path], tmp_path: Path) -> None:
    """A table whose index names one block a million times would be read a million times."""
    from tui.core.formats.tensorflow.table import MAGIC

    out = sealed(EMPTY_BLOCK)
    entry = b"".join(b"\0\4\2" + number.to_bytes(4, "big") + b"\0\x08" for number in range(50_000))
    entry += EMPTY_BLOCK
    footer = varint(0) + varint(8) + varint(len(out)) + varint(len(entry))
    path = tmp_path / "model.ckpt.index"
    path.write_bytes(out + sealed(entry) + footer.ljust(40, b"\0") + MAGIC)
    [problem] = [item for item in read_one_file(path, "x").all_problems() if item.code == "tensorflow-index-damaged"]
    assert "lies in the one before" in problem.message
