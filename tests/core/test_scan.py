from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders.checkpoints import write_config, write_safetensors
from tui.core.scan import scan

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.checkpoint import Checkpoint

TENSORS: dict[str, tuple[str, tuple[int, ...]]] = {"w": ("F32", (2,))}


def _read(path: Path) -> dict[str, Checkpoint]:
    return {row.path: row.read() for row in scan(path, path.name)}


def test_a_directory_of_one_checkpoint_is_one_row(tmp_path: Path) -> None:
    root = write_config(tmp_path / "m")
    write_safetensors(root / "model.safetensors", TENSORS)
    found = _read(root)
    assert list(found) == ["m"]
    assert found["m"].kind == "transformers"
    assert found["m"].weights.files == ("model.safetensors",)


def test_loose_files_are_rows_of_their_own(tmp_path: Path) -> None:
    root = tmp_path / "loose"
    root.mkdir()
    for name in ("a.safetensors", "b.safetensors"):
        write_safetensors(root / name, TENSORS)
    assert list(_read(root)) == ["loose/a.safetensors", "loose/b.safetensors"]


@pytest.mark.parametrize("kind", ["fifo", "dangling", "loop", "device", "socket directory"])
def test_odd_entries_are_rows_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "odd"
    root.mkdir()
    target = root / "model.safetensors"
    match kind:
        case "fifo":
            os.mkfifo(target)
        case "dangling":
            target.symlink_to("nowhere")
        case "loop":
            target.symlink_to("model.safetensors")
        case "device":
            target.symlink_to("/dev/zero")
        case _:
            target.mkdir()
    found = _read(root)
    assert len(found) <= 1
    if kind != "socket directory":
        [checkpoint] = found.values()
        assert checkpoint.all_problems()


def test_directory_loops_end(tmp_path: Path) -> None:
    root = write_config(tmp_path / "a" / "m").parent
    write_safetensors(root / "m" / "model.safetensors", TENSORS)
    (root / "again").symlink_to(root)
    assert list(_read(root)) == ["a/m"]


def test_content_decides_not_suffix(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "weights.bin", TENSORS)
    [checkpoint] = _read(tmp_path).values()
    assert checkpoint.kind == "safetensors"
    assert checkpoint.files[0].format == "safetensors"


def test_an_index_cannot_reach_outside(tmp_path: Path) -> None:
    root = write_config(tmp_path / "m")
    index = '{"metadata": {}, "weight_map": {"w": "../../etc/passwd"}}'
    (root / "model.safetensors.index.json").write_text(index, "utf-8")
    [checkpoint] = _read(root).values()
    assert [problem.code for problem in checkpoint.weights.problems] == ["shard-name-escapes"]


def test_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    odd = os.fsdecode(b"m\xff\x1b[31m")
    root = write_config(tmp_path / odd)
    write_safetensors(root / "model.safetensors", TENSORS)
    [checkpoint] = _read(tmp_path).values()
    assert checkpoint.kind == "transformers"
