"""Every byte read: checksums against what is known, CRCs, and values that cannot be meant."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from tui.core import deep, tensor_bytes
from tui.core.assemble import read_directory, read_one_file
from tui.core.diagnosis.evidence import Evidence
from tui.core.diagnosis.rules import diagnose

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import Checkpoint


def read(path: Path) -> tuple[deep.DeepFile, set[str]]:
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
    assert sum(seen) == path.stat().st_size == deep.total_bytes(checkpoint)
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


def test_damaged_at_its_source(tmp_path: Path) -> None:
    data = b"\x10\0\0\0\0\0\0\0{broken header!}"
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / digest).write_bytes(data)
    (tmp_path / "model.safetensors").symlink_to(tmp_path / digest)
    assert "file-upstream-corrupt" in read(tmp_path / "model.safetensors")[1]


def test_it_can_be_stopped(samples: Path) -> None:
    root = samples / "bert-ner"
    with pytest.raises(deep.Stopped):
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
