"""Which links of a checkpoint open the cage, and which do not, since whoever made it chose where they lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tui.core.assemble import read_directory
from tui.loading.isolation import followed, places_of
from tui.triage.load import LoadOptions, request_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    for name in (
        ".ssh/id_rsa", ".netrc", ".docker/config.json", ".cache/huggingface/token", ".cache/huggingface/hub/blobs/0a1b",
        ".models/blobs/2c3d", ".local/share/m.safetensors", "models/shard.bin", "notes.txt",
    ):  # fmt: skip
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("x", "utf-8")
    monkeypatch.setenv("HOME", str(place))
    return place


@pytest.mark.parametrize(
    ("target", "opened"),
    [
        (".ssh/id_rsa", False), (".netrc", False), (".docker/config.json", False), (".cache/huggingface/token", False),
        (".ssh", False), (".", False), ("models", False), ("/etc/passwd", False), ("/proc/self/mem", False),
        ("/dev/zero", False), ("model.safetensors", False), ("absent", False),
        (".cache/huggingface/hub/blobs/0a1b", True), (".models/blobs/2c3d", True),
        (".local/share/m.safetensors", True), ("models/shard.bin", True), ("notes.txt", True),
    ],
)  # fmt: skip
def test_where_a_link_may_lead(tmp_path: Path, home: Path, target: str, opened: bool) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    link = checkpoint / "model.safetensors"
    link.symlink_to(link.name if target == link.name else home / target)
    real = [str((home / target).resolve())] if opened else []
    assert followed([str(link)]) == real
    assert places_of(str(checkpoint)) == [str(checkpoint), *real]
    request = request_for(read_directory(checkpoint, str(checkpoint)), LoadOptions())
    assert request["readable"] == [str(checkpoint), *real]
