"""A file that something writes to while it is loaded: mapped bytes vanish under the loader, and that is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.builders.checkpoints import write_config, write_safetensors
from tests.conftest import REPOSITORY
from tui.core.assemble import read_directory
from tui.core.diagnosis.evidence import Evidence, Outcome
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from tui.core.report.model import Triage

_SIZES = {"vocab_size": 400_000, "hidden_size": 256, "num_hidden_layers": 0, "max_position_embeddings": 512}


def _large(root: Path) -> Path:
    """A sparse BERT of 400 MB whose weights the loader casts: it must touch every page."""
    write_config(root, architectures=["BertModel"], **_SIZES)
    tables = {"word": 400_000, "position": 512, "token_type": 2}
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    tensors = {f"embeddings.{name}_embeddings.weight": ("F32", (rows, 256)) for name, rows in tables.items()}
    tensors |= {f"embeddings.LayerNorm.{part}": ("F32", (256,)) for part in ("weight", "bias")}
    tensors |= {"pooler.dense.weight": ("F32", (256, 256)), "pooler.dense.bias": ("F32", (256,))}
    return write_safetensors(root / "model.safetensors", tensors)


def _truncate_once_mapped(process: subprocess.Popen[str], file: Path) -> bool:
    """Wait until a child maps the file, then empty it."""
    while process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                mapped = str(file) in Path(f"/proc/{child.pid}/maps").read_text("utf-8", "replace")
            except OSError:
                continue
            if mapped:
                os.truncate(file, 0)
                return True
        time.sleep(0.002)
    return False


@pytest.mark.loader
@pytest.mark.skipif(sys.platform != "linux", reason="mappings are read from /proc")
def test_a_file_that_is_cut_while_it_is_mapped(tmp_path: Path) -> None:
    file = _large(tmp_path)
    command = [sys.executable, "-m", "tui", "load", str(tmp_path), "--json", "--dtype", "bfloat16"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:
        assert _truncate_once_mapped(process, file)
        said, _ = process.communicate(timeout=200)
    answer = json.loads(said)
    assert (answer["outcome"], answer["predicted"], answer["agrees"]) == ("killed", "loads", None)
    assert "SIGBUS" in answer["error"]["message"]
    first = answer["findings"][0]
    assert (first["rule"], first["file"], first["severity"]) == ("file-changed", "model.safetensors", "error")


def _after(root: Path, kind: str) -> Triage:
    checkpoint = read_directory(root, str(root))
    with (root / "model.safetensors").open("ab") as file:
        file.write(b"" if kind == "same" else b"more")
    return triage_of(Evidence(checkpoint, outcome=Outcome("loaded" if kind == "loaded" else "failed", "OSError", "x")))


@pytest.mark.parametrize(("kind", "found"), [("changed", True), ("same", False), ("loaded", False)])
def test_only_a_failed_load_of_a_changed_file(tmp_path: Path, kind: str, found: bool) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"x": ("F32", (2,))})
    rules = {item.rule for item in _after(tmp_path, kind).findings}
    assert ("file-changed" in rules) is found
