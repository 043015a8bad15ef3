"""Files that grow while they are looked at, under the names that downloaders give them."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save

from tui.core.scan import scan
from tui.triage.downloads import REST, Change, Downloads
from tui.triage.options import Options
from tui.triage.session import Session

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = save({"w": torch.randn(300, 300)})


@pytest.mark.parametrize("suffix", [".incomplete", ".part", ".crdownload", ".partial", ""])
def test_growth_rate_and_rest(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model-a.safetensors{suffix}"
    for other in ("one.safetensors", "two.safetensors"):
        (tmp_path / other).write_bytes(WHOLE)
    path.write_bytes(WHOLE[:1000])
    downloads = Downloads()
    for row in scan(tmp_path, "d"):
        downloads.consider(row.read())
    assert len(downloads) == 1
    shown = f"d/{path.name}"
    assert downloads.look(100.0) == []
    for second in range(1, 5):
        with path.open("ab") as file:
            file.write(WHOLE[1000 * second : 1000 * (second + 1)])
            os.fsync(file.fileno())
        [change] = downloads.look(100.0 + second)
        assert (change.path, change.rested) == (shown, False)
        assert change.growth is not None
        assert change.growth.bytes == 1000 * (second + 1)
        assert change.growth.rate == 1000
        assert change.growth.total == len(WHOLE)
    assert downloads.look(104.0 + REST / 2) == []
    assert downloads.look(104.0 + REST) == [Change(shown, rested=True)]
    assert downloads.look(200.0) == []


def test_what_is_whole_or_old_is_not_measured(tmp_path: Path) -> None:
    (tmp_path / "whole.safetensors").write_bytes(WHOLE)
    (tmp_path / "old.safetensors").write_bytes(WHOLE[:5000])
    os.utime(tmp_path / "old.safetensors", (1, 1))
    downloads = Downloads()
    for row in scan(tmp_path, "d"):
        downloads.consider(row.read())
    assert len(downloads) == 0


def test_aria2_reserves_the_space_and_fills_it(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(WHOLE[:8192])
        file.truncate(1 << 22)
    if path.stat().st_blocks * 512 >= 1 << 22:
        pytest.skip("this file system has no holes")
    (tmp_path / "model.safetensors.aria2").write_bytes(b"\0" * 30)
    downloads = Downloads()
    for row in scan(tmp_path, "d"):
        downloads.consider(row.read())
    assert len(downloads) == 1
    with path.open("r+b") as file:
        file.seek(1 << 20)
        file.write(bytes(range(256)) * 4096)
        os.fsync(file.fileno())
    [change] = downloads.look(10.0)
    assert change.growth is not None
    assert 1 << 20 <= change.growth.bytes < 1 << 21


def test_a_finished_download_is_found_under_its_name(tmp_path: Path) -> None:
    part = tmp_path / "model.safetensors.part"
    part.write_bytes(WHOLE[:9000])
    session = Session([str(tmp_path)], Options(files_only=True))
    [triage] = session.scan(threading.Event())
    assert (triage.checkpoint.kind, triage.verdict) == ("safetensors", "fails")
    assert {"safetensors-truncated", "hub-incomplete"} <= {item.rule for item in triage.findings}
    path = triage.checkpoint.path

    def write() -> None:
        with part.open("ab") as file:
            for begin in range(9000, len(WHOLE), 60_000):
                file.write(WHOLE[begin : begin + 60_000])
                file.flush()
                time.sleep(0.02)
        part.rename(part.with_suffix(""))

    writer = threading.Thread(target=write)
    writer.start()
    changes: list[Change] = []
    while not any(change.rested for change in changes):
        changes += session.downloads.look()
        time.sleep(0.005)
    writer.join()
    assert any(change.growth is not None for change in changes)
    again = session.read_again(path)
    assert again is not None
    assert (again.checkpoint.path, again.verdict) == (path.removesuffix(".part"), "loads")
    assert list(session.triages) == [again.checkpoint.path]
    assert len(session.downloads) == 0
    (tmp_path / "model.safetensors").unlink()
    assert session.read_again(again.checkpoint.path) is None
    assert session.triages == {}


def test_a_download_into_a_model_directory(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    (tmp_path / "model.safetensors").write_bytes(WHOLE[:2000])
    session = Session([str(tmp_path)], Options(files_only=True))
    [triage] = session.scan(threading.Event())
    assert session.downloads.look() == []
    (tmp_path / "model.safetensors").write_bytes(WHOLE)
    [change] = session.downloads.look()
    assert change.path == triage.checkpoint.path
    again = session.read_again(change.path)
    assert again is not None
    assert not again.checkpoint.all_problems()
    assert len(session.downloads) == 0
