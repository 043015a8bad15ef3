"""Pictures of the explorer at the standard sizes; `--snapshot-update` only after looking at the report."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import force_setattr

from tests.conftest import SAMPLES
from tests.ui.test_explorer import explorer, until
from tui.core.estimate import Available, Device
from tui.triage import session as session_module
from tui.triage.options import Options
from tui.triage.session import Session
from tui.ui.app import CkptriageApp
from tui.ui.widgets.tree import CheckpointTree

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

pytestmark = pytest.mark.loader
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60), "60x20": (60, 20)}
MACHINE = Available(
    ram=22 << 30,
    ram_total=24 << 30,
    ram_source="MemAvailable",
    devices=(Device("NVIDIA A10", 20 << 30, 24 << 30),),
)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CkptriageApp:
    for name in ("bert-ner", "bert-ner-labels", "bert-ner-truncated", "bert-dataparallel", "torch-main-module"):
        shutil.copytree(SAMPLES / name, tmp_path / "models" / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(session_module, "available", lambda: MACHINE)
    made = Session(["models"], Options())
    return CkptriageApp(made)


async def _settle(pilot: Pilot[Any]) -> None:
    app = pilot.app
    assert isinstance(app, CkptriageApp)
    await until(pilot, lambda: len(app.screen_stack) > 1 and bool(explorer(app).session.triages))
    await until(pilot, lambda: not explorer(app).session.pending)
    screen = explorer(app)
    for path, triage in screen.session.triages.items():
        if triage.comparison is not None:
            force_setattr(triage.comparison, "seconds", 0.0)
        screen.query_one(CheckpointTree).put(triage, False)
        assert path
    screen.session.worker.environment.python = "3"
    screen.session.worker.environment.packages.update(torch="2.13.0")  # without the build that was installed
    screen.query_one(CheckpointTree).go_to("models/bert-ner-labels")
    await until(pilot, lambda: screen.path == "models/bert-ner-labels")
    screen.refresh_all()
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
def test_the_tree_and_the_answer(app: CkptriageApp, snap_compare: Any, size: str) -> None:
    assert snap_compare(app, terminal_size=SIZES[size], run_before=_settle)


@pytest.mark.parametrize("size", ["80x24", "120x40", "60x20"])
@pytest.mark.parametrize("key", ["3", "7", "8"])
def test_the_views(app: CkptriageApp, snap_compare: Any, size: str, key: str) -> None:
    async def show(pilot: Pilot[Any]) -> None:
        await _settle(pilot)
        await pilot.press(key)
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES[size], run_before=show)


def test_without_colour(app: CkptriageApp, snap_compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    grey = CkptriageApp(app.session)
    assert snap_compare(grey, terminal_size=(80, 24), run_before=_settle)
