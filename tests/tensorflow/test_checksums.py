"""The checksums of TensorFlow's own files under `--deep`: whatever bit is flipped is found, and TensorFlow agrees."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import tables
from tests.conftest import SAMPLES
from tests.triage.test_command_line import answer
from tui.core.assemble import read_directory, read_one_file, read_prefix
from tui.core.deep import verify as deep
from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.messages import rules_in
from tui.core.formats.tensorflow import crc32c, table
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import Checkpoint

pytestmark = pytest.mark.loader
tf = pytest.importorskip("tensorflow")
BUNDLES = ("object_based", "name_based", "every_dtype", "partitioned", "merged", "trained")


def _broken(checkpoint: Checkpoint) -> list[tuple[str, str, int]]:
    """(file, tensor, offset) of what does not match."""
    files = deep.verify(checkpoint).files
    assert all(not file.problem for file in files)
    return [(file.name, name, offset) for file in files for name, offset, _ in file.broken_tensors]


def _fails(prefix: Path) -> set[str]:
    """The tensors that TensorFlow refuses for their checksum."""
    out = set()
    for name in tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map():
        try:  # with a reader for each: one that has met a bad slice ends the process at the next tensor
            tf.train.load_checkpoint(str(prefix)).get_tensor(name)
        except Exception as error:
            assert "Checksum does not match" in str(error) or "checksum" in str(error)
            assert rules_in(f"{type(error).__name__}: {error}")[0][0] == "tensorflow-checksum"
            out.add(name)
    return out


@pytest.mark.parametrize("name", BUNDLES)
def test_every_flipped_bit_is_found_and_named_as_tensorflow_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.builders import bundles

    monkeypatch.setattr(deep, "PIECE", 48)
    prefix = getattr(bundles, name)(tmp_path / "model.ckpt")
    assert _broken(read_prefix(prefix, "x")) == []
    files = deep.verify(read_prefix(prefix, "x")).files
    assert sum(file.checked_tensors for file in files) > 3
    chance = random.Random(name)
    strings = {tensor.name for tensor in read_prefix(prefix, "x").tensors if tensor.dtype == "STRING"}
    for path in sorted(tmp_path.glob("*.data-*")):
        whole = path.read_bytes()
        for at in sorted(chance.sample(range(len(whole)), min(25, len(whole)))):
            data = bytearray(whole)
            data[at] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
            found = _broken(read_prefix(prefix, "x"))
            assert [file for file, _, _ in found] == [path.name]
            assert found[0][2] <= at
            if found[0][1] not in strings:  # a length that is damaged may end the process
                assert {tensor for _, tensor, _ in found} == _fails(prefix)
        path.write_bytes(whole)


def test_the_finding_has_the_words_of_the_loader_with_both_numbers(tmp_path: Path) -> None:
    target = shutil.copytree(SAMPLES / "tfhub-bert-v3", tmp_path / "model")
    checkpoint = read_directory(target, "x")
    assert triage_of(Evidence(checkpoint, deep=deep.verify(checkpoint))).verdict == "loads"
    shard = target / "variables" / "variables.data-00000-of-00001"
    data = bytearray(shard.read_bytes())
    data[33] ^= 4
    shard.write_bytes(data)
    checkpoint = read_directory(target, "x")
    judged = triage_of(Evidence(checkpoint, deep=deep.verify(checkpoint)))
    assert judged.verdict == "fails"
    [finding] = [item for item in judged.findings if item.rule == "tensorflow-checksum"]
    assert finding.file == "variables/variables.data-00000-of-00001"
    with pytest.raises(Exception, match="Checksum does not match") as raised:
        tf.saved_model.load(str(target))
    words = str(raised.value)
    assert words[words.index("stored ") :].partition(" [Op")[0] in finding.evidence[-1]
    assert triage_of(Evidence(read_directory(target, "x"))).verdict == "loads"  # which the files' sizes alone allow


def test_strings_are_read_by_tensorflow_as_they_are_here(tmp_path: Path) -> None:
    """A flipped bit in a string is named; one in the length before it may end the process that reads it."""
    prefix = tmp_path / "model.ckpt"
    names, values = ["long", "one"], [tf.constant(["abc", "x" * 300, ""]), tf.constant("word")]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=["", ""], tensors=values)
    path = tmp_path / "model.ckpt.data-00000-of-00001"
    whole = path.read_bytes()
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 4
        path.write_bytes(data)
        [(_, name, _)] = _broken(read_prefix(prefix, "x"))
        if chr(whole[at]) in "abcxword" and at > 8 and at % 7 == 0:
            assert _fails(prefix) == {name}
    path.write_bytes(bytes([whole[0] ^ 128, *whole[1:]]))
    code = f"import tensorflow as tf; tf.train.load_checkpoint({str(prefix)!r}).get_tensor('long')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode != 0


def test_check_deep_says_it_and_plain_check_does_not(tmp_path: Path) -> None:
    target = shutil.copytree(SAMPLES / "google-bert-checkpoint", tmp_path / "bert")
    shard = target / "bert_model.ckpt.data-00000-of-00001"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    _, told = answer("check", "--files-only", "--json", str(target))
    assert told["checkpoints"][0]["verdict"] == "loads"
    code, told = answer("check", "--files-only", "--deep", "--json", str(target))
    assert (code, told["checkpoints"][0]["verdict"]) == (1, "fails")
    [finding] = [item for item in told["checkpoints"][0]["findings"] if item["rule"] == "tensorflow-checksum"]
    assert "cls/seq_relationship/output_weights at byte" in finding["evidence"][1]


def test_a_block_of_a_long_index_is_checked_by_deep_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.builders import bundles

    prefix = bundles.many_names(tmp_path / "model.ckpt")
    path = tmp_path / "model.ckpt.index"
    data = bytearray(path.read_bytes())
    at = data.index(b"\x35", 500) + 1  # a tensor's checksum: the table still holds together
    data[at] ^= 1
    path.write_bytes(data)
    assert {problem.code for problem in read_prefix(prefix, "x").all_problems()} == {"tensorflow-checksum"}
    monkeypatch.setattr(table.Table.__init__, "__defaults__", (0,))
    checkpoint = read_prefix(prefix, "x")
    assert checkpoint.all_problems() == ()
    assert checkpoint.files[0].metadata["checksums"] == "partly"
    [(file, words, offset)] = [item for item in _broken(checkpoint) if item[0].endswith(".index")]
    assert (file, offset) == ("model.ckpt.index", 0)
    assert words.startswith("the block that ends with layer_")


def test_a_checkpoint_of_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.builders import bundles

    prefix = bundles.first_version_of_many(tmp_path / "model.ckpt-300")
    names = {tensor.name for tensor in read_one_file(prefix, "x").tensors}
    whole = prefix.read_bytes()
    data = bytearray(whole)
    data[len(whole) // 2] ^= 1
    prefix.write_bytes(data)
    checkpoint = read_one_file(prefix, "x")
    assert {problem.code for problem in checkpoint.all_problems()} == {"tensorflow-checksum"}
    assert (
        {tensor.name for tensor in checkpoint.tensors}
        == names
        == set(tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map())
    )
    monkeypatch.setattr(table.Table.__init__, "__defaults__", (0,))
    checkpoint = read_one_file(prefix, "x")
    assert checkpoint.all_problems() == ()
    [(_, words, offset)] = _broken(checkpoint)
    assert words.startswith("the block that ends with layer_")
    assert 0 < offset <= len(whole) // 2


def test_numbers_of_any_length_add_up() -> None:
    chance = random.Random(1)
    assert crc32c.crc32c(b"123456789") == 0xE3069283
    for size in (*range(40), crc32c._LONG - 1, crc32c._LONG, crc32c._LONG + 1, 3 * crc32c._LONG + 7):
        data = chance.randbytes(size)
        plain = crc32c._by_tables(data, 0xFFFFFFFF) ^ 0xFFFFFFFF
        assert crc32c.crc32c(data) == plain
        cut = size // 3
        assert crc32c.crc32c(data[cut:], crc32c.crc32c(data[:cut])) == plain
        assert crc32c.unmasked(crc32c.masked(plain)) == plain


def test_odd_indexes_do_not_hurt(tmp_path: Path) -> None:
    """Entries beyond their shard, over one another, strings that are more than their bytes: nothing raises."""
    header = (b"", tables.field(1, 1))

    def entry(dtype: int, sizes: tuple[int, ...], offset: int, size: int) -> bytes:
        shape = b"".join(tables.field(2, tables.field(1, number)) for number in sizes)
        return tables.field(1, dtype) + tables.field(2, shape) + tables.field(4, offset) + tables.field(5, size)

    rows = {
        "a": entry(1, (4,), 0, 16), "b": entry(1, (4,), 8, 16), "c": entry(1, (4,), 1 << 40, 16),
        "d": entry(7, (1 << 40,), 0, 10), "e": entry(7, (3,), 24, 30), "f": entry(99, (), 0, 1),
        "g": entry(1, (0,), 0, 0),
    }  # fmt: skip
    data = tables.block([header, *((name.encode(), value) for name, value in rows.items())])
    (tmp_path / "model.ckpt.index").write_bytes(tables.table(data))
    (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(b"\xff" * 64)
    checkpoint = read_directory(tmp_path, "x")
    names = {name for _, name, _ in _broken(checkpoint)}
    assert {"e"} <= names <= set(rows)


def test_a_large_shard_is_read_in_pieces(tmp_path: Path) -> None:
    """Two pieces and a bit: the parts' checksums add up to that of the whole."""
    prefix = tmp_path / "model.ckpt"
    value: Any = tf.random.stateless_uniform([(2 * deep.PIECE + 1000) // 4], (1, 2))
    words = tf.constant([os.urandom(9) * 3 for _ in range(1000)])
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=["large", "words"], shape_and_slices=["", ""], tensors=[value, words]
    )
    assert _broken(read_prefix(prefix, "x")) == []
