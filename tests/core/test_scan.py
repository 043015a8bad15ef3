from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders.checkpoints import write_config, write_safetensors
from tui.core.assemble import is_checkpoint_directory
from tui.core.scan import _telling, scan

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


@pytest.mark.parametrize(
    "names",
    [
        "config.json", "pytorch_model-00001-of-00002.bin", "__0_0.distcp .metadata", "__0_0.distcp",
        "pytorch_model_world_size_8_rank_3.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt",
        "bf16_zero_pp_rank_0_mp_rank_00_model_states.pt", "consolidated.00.pth", "mp_rank_00_model_states.pt",
        "model.json group1-shard1of1", "model.json group1-shard1of2.bin", "_CHECKPOINT_METADATA", "manifest.ocdbt",
        "saved_model.pb", "saved_model.pbtxt", "model.ckpt-100.data-00000-of-00001", "model.ckpt.index",
        "checkpoint model.v1 model.v1.meta", "checkpoint odd.name.7 odd.name.7.meta", "tokenizer.json",
        "one.GGUF", "adapter_config.json", "weights.pkl.gz", "net.pth.tar", "model.onnx",
    ],
)  # fmt: skip
def test_names_that_tell_nothing_are_left_out_and_no_others(names: str) -> None:
    told = frozenset(names.split())
    other = {"a.txt", "b.jpg", "README.md", "data.csv", "x.tar.zst"}
    assert is_checkpoint_directory(told)
    assert is_checkpoint_directory(_telling(told | other))
    assert not is_checkpoint_directory(frozenset(other))
