"""Every byte read: checksums against what is known, CRCs, and values that cannot be meant."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file

from tui.core import tensor_bytes
from tui.core.assemble import read_directory, read_one_file
from tui.core.deep import sha256
from tui.core.deep import verify as deep
from tui.core.deep.report import DeepFile, total_bytes
from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.rules import diagnose
from tui.core.formats.tensorflow import crc32c
from tui.core.pace import Stopped
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import Checkpoint


def read(path: Path) -> tuple[DeepFile, set[str]]:
    checkpoint: Checkpoint = read_directory(path, str(path)) if path.is_dir() else read_one_file(path, str(path))
    report = deep.verify(checkpoint)
    return report.files[0], {item.rule for item in diagnose(Evidence(checkpoint, deep=report))}


def test_the_checksum_is_that_of_the_file(samples: Path) -> None:
    for name in ("bert-ner", "bert-ner-zip-bin", "bert-ner-legacy-bin", "gguf-tiny", "numpy-objects"):
        root = samples / name
        checkpoint = read_directory(root, str(root))
        for file in deep.verify(checkpoint).files:
            assert file.sha256 == hashlib.sha256((root / file.name).read_bytes()).hexdigest()
            assert (file.broken_records, file.not_finite) == ((), ())


def test_pieces_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "PIECE", 64)
    path = tmp_path / "model.safetensors"
    values = torch.arange(1000, dtype=torch.float32)
    values[777] = float("nan")
    save_file({"a": values, "b": torch.ones(500, dtype=torch.bfloat16), "c": torch.zeros(64, 64).half()}, str(path))
    seen: list[int] = []
    checkpoint = read_one_file(path, str(path))
    [file] = deep.verify(checkpoint, seen.append).files
    assert sum(seen) == path.stat().st_size == total_bytes(checkpoint)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.not_finite == (("a", 1),)
    assert dict(file.constant) == {"b": False, "c": True}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2])
def test_infinite_and_undefined_values_are_counted_as_torch_counts_them(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    values = torch.randn(400).to(dtype)
    for place, odd in ((3, float("inf")), (7, float("-inf")), (90, float("nan"))):
        values[place] = torch.tensor(odd).to(dtype)
    save_file({"w": values, "whole": torch.full((9,), 2**30, dtype=torch.int32)}, str(tmp_path / "m.safetensors"))
    file, rules = read(tmp_path / "m.safetensors")
    assert file.not_finite == (("w", int((~torch.isfinite(values.float())).sum())),)
    assert "tensor-not-finite" in rules


def test_healthy_values_raise_nothing(samples: Path) -> None:
    _, rules = read(samples / "bert-ner")
    assert not {rule for rule in rules if rule.startswith(("tensor-", "file-", "zip-"))}


def test_zero_weights_and_copies_are_told(tmp_path: Path) -> None:
    torch.manual_seed(1)
    twice = torch.randn(200, 200)
    state = {
        "a.weight": twice,
        "b.weight": twice.clone(),
        "gate.weight": torch.zeros(4, 4),
        "gate.bias": torch.zeros(4),
    }
    save_file(state, str(tmp_path / "m.safetensors"))
    file, rules = read(tmp_path / "m.safetensors")
    assert {"tensor-all-zero", "tensor-duplicate"} <= rules
    assert dict(file.constant) == {"gate.weight": True, "gate.bias": True}
    state["b.weight"][5, 5] += 1
    state["gate.weight"] = torch.eye(4)
    save_file(state, str(tmp_path / "n.safetensors"))
    assert not {"tensor-all-zero", "tensor-duplicate"} & read(tmp_path / "n.safetensors")[1]


def test_matrices_of_one_value_are_told_and_norms_are_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = {"a.kernel": torch.full((8, 8), 0.5), "norm.weight": torch.ones(8), "b.weight": torch.randn(8, 8)}
    save_file(state, str(tmp_path / "m.safetensors"))
    file, rules = read(tmp_path / "m.safetensors")
    assert dict(file.constant) == {"a.kernel": False, "norm.weight": False}
    assert "tensor-constant" in rules
    assert "tensor-all-zero" not in rules
    state["a.kernel"] = torch.zeros(8, 8)
    save_file(state, str(tmp_path / "m.safetensors"))
    assert "tensor-all-zero" in read(tmp_path / "m.safetensors")[1]
    state["a.kernel"] = torch.eye(8)
    save_file(state, str(tmp_path / "m.safetensors"))
    assert not {"tensor-constant", "tensor-all-zero"} & read(tmp_path / "m.safetensors")[1]


def test_a_record_whose_crc_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"w": torch.arange(4096, dtype=torch.float32)}, path)
    assert "zip-record-crc" not in read(path)[1]
    data = bytearray(path.read_bytes())
    place = data.index(torch.tensor([1000.0, 1001.0]).numpy().tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    file, rules = read(path)
    assert [name.rpartition("/")[2] for name in file.broken_records] == ["0"]
    assert "zip-record-crc" in rules
    assert torch.load(path)["w"][1000] != 1000.0  # torch does not look at it


def test_known_checksums(tmp_path: Path) -> None:
    blob = tmp_path / "blobs"
    blob.mkdir()
    save_file({"w": torch.ones(3)}, str(blob / "x"))
    digest = hashlib.sha256((blob / "x").read_bytes()).hexdigest()
    (blob / "x").rename(blob / digest)
    (tmp_path / "snap").mkdir()
    link = tmp_path / "snap" / "model.safetensors"
    link.symlink_to(blob / digest)
    file, rules = read(link)
    assert (file.matches, "file-sha256-mismatch" in rules) == (True, False)
    with (blob / digest).open("r+b") as writer:
        writer.seek(-1, 2)
        writer.write(b"\x01")
    file, rules = read(link)
    assert (file.matches, "file-sha256-mismatch" in rules) == (False, True)
    named = tmp_path / f"net-{digest[:8]}.safetensors"
    save_file({"w": torch.ones(3)}, str(named))
    assert read(named)[0].matches is True
    named.with_name(named.name + ".sha256").write_text("0" * 64, "utf-8")
    assert read(named)[0].matches is True
    plain = tmp_path / "plain.safetensors"
    shutil.copy(named, plain)
    assert read(plain)[0].matches is None
    plain.with_name("plain.safetensors.sha256").write_text(f"{'0' * 64}  plain.safetensors\n", "utf-8")
    assert read(plain)[0].matches is False


def test_other_bytes_than_the_source_names_load_and_are_not_what_it_says(tmp_path: Path) -> None:
    save_file({"w": torch.ones(3)}, str(tmp_path / "plain.safetensors"))
    (tmp_path / "plain.safetensors.sha256").write_text(f"{'0' * 64}  plain.safetensors\n", "utf-8")
    assert set(load_file(str(tmp_path / "plain.safetensors"))) == {"w"}
    checkpoint = read_one_file(tmp_path / "plain.safetensors", "plain")
    triage = triage_of(Evidence(checkpoint, deep=deep.verify(checkpoint)))
    assert (triage.verdict, triage.worst) == ("degraded", "error")


def test_damaged_at_its_source(tmp_path: Path) -> None:
    data = b"\x10\0\0\0\0\0\0\0{broken header!}"
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / digest).write_bytes(data)
    (tmp_path / "model.safetensors").symlink_to(tmp_path / digest)
    assert "file-upstream-corrupt" in read(tmp_path / "model.safetensors")[1]


def test_it_can_be_stopped(samples: Path) -> None:
    root = samples / "bert-ner"
    with pytest.raises(Stopped):
        deep.verify(read_directory(root, str(root)), stop=lambda: True)


def test_bytes_of_two_tensors(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    state = {"a": torch.ones(9, 9), "b": torch.ones(9, 9), "c": torch.eye(9), "d": torch.ones(9, 9).half()}
    save_file(state, str(path))
    checkpoint = read_one_file(path, str(path))
    assert tensor_bytes.equal(checkpoint, "a", "b") is True
    assert tensor_bytes.equal(checkpoint, "a", "c") is False
    assert tensor_bytes.equal(checkpoint, "a", "d") is False
    assert tensor_bytes.equal(checkpoint, "a", "nothing") is None
    assert set(load_file(str(path))) == set(state)


class Kept:
    """A memory of one run that ends with the test."""

    def __init__(self) -> None:
        self.records: dict[tuple[int, ...], bytes] = {}

    def load(self, identity: tuple[int, ...]) -> bytes | None:
        return self.records.get(identity)

    def save(self, identity: tuple[int, ...], record: bytes) -> None:
        self.records[identity] = record


def _mixed(path: Path) -> Checkpoint:
    """Tensors of odd sizes, among them one that is not finite, one that is constant, and a copy."""
    torch.manual_seed(4)
    large = torch.randn(300, 77)
    state = {
        "a": torch.randn(33, 7).half(),
        "b.weight": large,
        "c.weight": large.clone(),
        "d": torch.full((501,), 7, dtype=torch.int16),
        "e": torch.zeros(64, 9, dtype=torch.bfloat16),
        "f": torch.tensor([1.0, float("nan"), float("inf")], dtype=torch.float64),
    }
    save_file(state, str(path))
    return read_one_file(path, str(path))


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = _mixed(tmp_path / "m.safetensors")
    whole = deep.verify(checkpoint)
    assert whole.files[0].sha256 == hashlib.sha256((tmp_path / "m.safetensors").read_bytes()).hexdigest()
    assert whole.duplicates == (("b.weight", "c.weight"),)
    monkeypatch.setattr(deep, "PIECE", 100)
    size = total_bytes(checkpoint)
    for limit in (1, 64, 999, size // 2, size - 3):
        memory, seen, skipped = Kept(), [0], [0]
        with pytest.raises(Stopped):
            deep.verify(checkpoint, seen.append, lambda: sum(seen) >= limit, memory)  # noqa: B023  # called here
        again: list[int] = []
        assert deep.verify(checkpoint, again.append, None, memory, skipped.append) == whole
        assert sum(skipped) == sum(seen) >= limit
        assert sum(again) + sum(skipped) == size


def test_a_finished_file_is_not_read_again_and_a_changed_one_is(tmp_path: Path) -> None:
    checkpoint = _mixed(tmp_path / "m.safetensors")
    memory = Kept()
    whole = deep.verify(checkpoint, memory=memory)
    again: list[int] = []
    assert deep.verify(checkpoint, again.append, None, memory, lambda _: None) == whole
    assert again == []
    with (tmp_path / "m.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    os.utime(tmp_path / "m.safetensors", ns=(1, 1))
    changed = deep.verify(read_one_file(tmp_path / "m.safetensors", "m"), again.append, None, memory)
    assert sum(again) == total_bytes(checkpoint)
    assert changed.files[0].sha256 != whole.files[0].sha256


def test_damaged_records_are_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "PIECE", 256)
    checkpoint = _mixed(tmp_path / "m.safetensors")
    whole, memory, seen = deep.verify(checkpoint), Kept(), [0]
    with pytest.raises(Stopped):
        deep.verify(checkpoint, seen.append, lambda: sum(seen) > 9000, memory)
    [(key, record)] = memory.records.items()
    value = json.loads(record)
    damaged: list[bytes] = [record[:place] for place in range(0, len(record), 37)]
    for name, wrong in (("offset", 1 << 60), ("offset", -1), ("sha_count", 1 << 62), ("sha_words", [1, 2]),
                        ("sha_words", [1 << 40] * 8), ("looks", []), ("sha256", "0" * 64)):  # fmt: skip
        damaged.append(json.dumps({**value, "progress": {**value["progress"], name: wrong}}).encode())
    damaged.append(json.dumps({**value, "version": 99}).encode())
    damaged.append(json.dumps({**value, "identity": [1, 2, 3, 4]}).encode())
    for text in damaged:
        memory.records[key] = text
        assert deep.verify(checkpoint, memory=memory) == whole


def test_without_openssl_the_checksum_is_hashlibs_and_a_file_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = _mixed(tmp_path / "m.safetensors")
    whole = deep.verify(checkpoint)
    monkeypatch.setattr(sha256, "_library", lambda: None)
    monkeypatch.setattr(deep, "PIECE", 256)
    memory, seen, again = Kept(), [0], [0]
    with pytest.raises(Stopped):
        deep.verify(checkpoint, seen.append, lambda: sum(seen) > 9000, memory)
    assert memory.records == {}
    assert deep.verify(checkpoint, again.append, None, memory) == whole
    assert sum(again) == total_bytes(checkpoint)


@pytest.mark.parametrize("cut", [0, 1, 63, 64, 65, 1000, 12800])
def test_a_checksum_is_taken_up(cut: int) -> None:
    data = bytes(range(256)) * 100
    first = sha256.Sha256()
    first.update(data[:cut])
    state = first.state
    if state is None:
        pytest.skip("no libcrypto here")
    count, words = state
    second = sha256.Sha256(words, count)
    second.update(bytearray(data[count:]))
    assert second.hexdigest() == hashlib.sha256(data).hexdigest()


def test_holes_are_told_unless_the_checksum_is_right(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    torch.manual_seed(1)
    save_file({"a.weight": torch.randn(256, 256), "b.weight": torch.randn(256, 256)}, str(path))
    whole = path.read_bytes()
    assert read(path)[0].in_holes == ()
    with path.open("r+b") as file:
        file.truncate(len(whole) - 256 * 256 * 4)
        file.truncate(len(whole))
    file_report, rules = read(path)
    if path.stat().st_blocks * 512 >= len(whole):
        pytest.skip("this file system has no holes")
    assert file_report.in_holes == ("b.weight",)
    assert {"file-sparse-holes", "tensor-all-zero"} <= rules
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  other\n{digest}  m.safetensors\n", "utf-8")
    file_report, rules = read(path)
    assert (file_report.matches, "file-sparse-holes" in rules) == (True, False)


def test_what_hf_download_noted(tmp_path: Path) -> None:
    save_file({"w": torch.ones(3)}, str(tmp_path / "model.safetensors"))
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    folder = pytest.importorskip("huggingface_hub._local_folder")
    folder.write_download_metadata(tmp_path, "model.safetensors", "c" * 40, digest)
    file, _ = read(tmp_path / "model.safetensors")
    assert file.matches is True
    folder.write_download_metadata(tmp_path, "model.safetensors", "c" * 40, "1" * 64)
    assert "file-sha256-mismatch" in read(tmp_path / "model.safetensors")[1]


def test_high_bytes_first_are_not_taken_for_infinite(tmp_path: Path) -> None:
    values: Any = numpy.full(300, 2.0**-126 * 1.9, ">f4")  # read the wrong way round: exponents of all ones
    values[3:200] = numpy.arange(197)
    numpy.save(tmp_path / "a.npy", values)
    assert read(tmp_path / "a.npy")[0].not_finite == ()
    values[7] = numpy.inf
    numpy.save(tmp_path / "a.npy", values)
    assert read(tmp_path / "a.npy")[0].not_finite == (("array", 1),)


def test_a_bundles_tensors_are_looked_at_in_their_shard(samples: Path, tmp_path: Path) -> None:
    shutil.copytree(samples / "google-bert-checkpoint", tmp_path / "b")
    checkpoint = read_directory(tmp_path / "b", "b")
    report = deep.verify(checkpoint)
    shard = next(file for file in report.files if ".data-" in file.name)
    held = [tensor for tensor in checkpoint.tensors if tensor.nbytes]
    assert (shard.unseen, shard.broken_tensors) == (0, ())
    victim = max(held, key=lambda tensor: tensor.nbytes)
    with (tmp_path / "b" / victim.file).open("r+b") as file:
        file.seek((victim.offset or 0) + victim.nbytes // 2 & ~3)
        file.write(b"\0\0\x80\x7f")
    report = deep.verify(checkpoint)
    shard = next(file for file in report.files if ".data-" in file.name)
    assert shard.not_finite == ((victim.name, 1),)
    assert [(name, offset) for name, offset, _ in shard.broken_tensors] == [(victim.name, victim.offset)]
    rules = {item.rule for item in diagnose(Evidence(checkpoint, deep=report))}
    assert {"tensor-not-finite", "tensorflow-checksum"} <= rules


@pytest.mark.parametrize("count", [0, 1, 7, 1023, 1024, 1025, 5000, 70_001])
def test_crc32c_of_pieces_is_that_of_the_whole(count: int) -> None:
    data = numpy.random.default_rng(count).bytes(count)
    whole = 0
    for byte in data:
        whole = crc32c.crc32c(bytes([byte]), whole)
    assert crc32c.crc32c(data) == whole
    head = count // 3
    assert crc32c.crc32c(memoryview(data[head:]), crc32c.crc32c(data[:head])) == whole
    assert crc32c.crc32c(b"123456789") == 0xE3069283
