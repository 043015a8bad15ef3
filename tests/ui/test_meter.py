"""The Memory pane: figures, keys, a tick that is silent where nothing changed, and what a load attempt took."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLES
from tests.ui.test_explorer import explorer, text, until
from tui.core.assemble import read_directory
from tui.core.estimate import Available, Base, Device, Holder, estimate
from tui.triage import session as session_module
from tui.triage.flow import Options
from tui.triage.meter import Measured, Meter
from tui.triage.session import Session
from tui.ui.app import CkptriageApp
from tui.ui.render.meter import meter

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
MACHINE = Available(
    ram=20 * GIB,
    ram_total=24 * GIB,
    ram_source="MemAvailable",
    devices=(Device("NVIDIA A10", 20 * GIB, 24 * GIB), Device("NVIDIA T4", 1 * GIB, 16 * GIB)),
)


def _meter() -> Meter:
    return Meter(MACHINE, lambda: MACHINE)


def test_the_keys_go_round_and_stay_in_bounds() -> None:
    state = _meter()
    seen = []
    for _ in range(6):
        seen.append(state.scenario.dtype)
        state.next_dtype()
    assert seen == ["auto", "float32", "bfloat16", "float16", "int8", "nf4"]
    assert state.scenario.dtype == "auto"
    devices = []
    for _ in range(5):
        devices.append(state.scenario.device)
        state.next_device()
    assert devices == ["cpu", "cuda:0", "cuda:1", "auto", "cpu"]
    for _ in range(40):
        state.scale_context(True)
        state.scale_batch(True)
    assert (state.scenario.context, state.scenario.batch) == (1 << 20, 4096)
    for _ in range(40):
        state.scale_context(False)
        state.scale_batch(False)
    assert (state.scenario.context, state.scenario.batch) == (16, 1)


def test_a_look_is_news_only_where_a_figure_moved() -> None:
    now = [MACHINE]
    state = Meter(MACHINE, lambda: now[0])
    assert not state.look()
    now[0] = replace(MACHINE, ram=20 * GIB - 5_000_000)
    assert not state.look()
    now[0] = replace(MACHINE, ram=19 * GIB)
    assert state.look()
    assert not state.look()
    lost = Device("NVIDIA T4", None, None, note="the GPU is lost")
    now[0] = replace(now[0], devices=(MACHINE.devices[0], lost))
    assert state.look()
    now[0] = replace(now[0], devices=())
    assert state.look()


def test_an_estimate_is_made_once_until_something_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    state, checkpoint = _meter(), read_directory(SAMPLES / "gpt2-tiny", "gpt2-tiny")
    first = state.estimate(checkpoint, None)
    assert state.estimate(checkpoint, None) is first
    state.next_dtype()
    assert state.estimate(checkpoint, None).dtype == "float32"


@pytest.mark.parametrize("width", [30, 38, 58, 78, 118])
def test_every_row_fits_and_says_its_numbers(width: int) -> None:
    checkpoint = read_directory(SAMPLES / "bert-ner", "bert-ner")
    held = replace(MACHINE.devices[0], holders=(Holder(4242, GIB, "python"),))
    machine = replace(MACHINE, devices=(held, *MACHINE.devices[1:]))
    for device in ("cpu", "cuda:1", "auto"):
        made = estimate(checkpoint, machine, device=device)
        rows = meter(made, machine, width, None, Measured(400_000_000, 404_000_000, "float32"))
        shown = "\n".join(row.text for row in rows)
        assert made.verdict.replace("_", " ") in rows[0].text
        assert device in rows[0].text
        assert "MemAvailable" in shown
        assert "predicted 381.5 MiB, measured 385.3 MiB (-1.0 %)" in shown
        assert "4242" in shown
        assert all(len(row.text) <= width for row in rows if row.text.startswith(("must", "wants", "try", "keys")))


def test_one_line_a_device_where_there_is_room() -> None:
    checkpoint = read_directory(SAMPLES / "bert-ner", "bert-ner")
    made = estimate(checkpoint, MACHINE)
    wide = [row.text for row in meter(made, MACHINE, 100)]
    assert sum("NVIDIA" in row for row in wide) == 2
    assert all(row.startswith("GPU") for row in wide if "NVIDIA" in row)
    assert any(row.startswith("GPU0") and "free 20.0 GiB of 24.0 GiB" in row for row in wide)
    none = [row.text for row in meter(made, replace(MACHINE, devices=(), devices_reason="there is no driver"), 100)]
    assert any("there is no driver" in row for row in none)


def test_it_is_readable_without_colour() -> None:
    checkpoint = read_directory(SAMPLES / "bert-ner", "bert-ner")
    small = replace(MACHINE, ram=100_000_000, base=Base(259_000_000, 0, "probed"))
    rows = [row.text for row in meter(estimate(checkpoint, small), small, 78)]
    assert "exceeds" in rows[0]
    assert any(row.startswith("short ") for row in rows)
    assert "▶" in rows[1]
    assert any("probed" in row for row in rows)


@pytest.mark.loader
async def test_keys_ticks_and_a_load_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    machine = [MACHINE]
    monkeypatch.setattr(session_module, "available", lambda: machine[0])
    shutil.copytree(SAMPLES / "gpt2-tiny", tmp_path / "gpt2-tiny")
    app = CkptriageApp(Session([str(tmp_path / "gpt2-tiny")], Options()))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(app.screen_stack) > 1 and bool(explorer(app).session.triages))
        await until(pilot, lambda: not explorer(app).session.pending)
        await pilot.press("8")
        await until(pilot, lambda: "512 tokens × 1, cpu" in text(app, "memory"))
        await pilot.press("plus", "b", "v", "t")
        await until(pilot, lambda: "as float32, 1,024 tokens × 2, cuda:0" in text(app, "memory"))
        await pilot.press("minus", "B", "v")
        await until(pilot, lambda: "512 tokens × 1, cuda:1" in text(app, "memory"))
        machine[0] = replace(MACHINE, ram=3 * GIB)
        await until(pilot, lambda: "free  3.0 GiB" in text(app, "memory"), 10)
        await pilot.press("m")
        await until(pilot, lambda: ", probed" in text(app, "memory"))
        await pilot.press("r")
        await until(pilot, lambda: "as predicted" in text(app, "log"))
        await until(pilot, lambda: "load  predicted" in text(app, "memory"))
        shown = next(row for row in text(app, "memory").splitlines() if row.startswith("load  predicted"))
        assert abs(float(shown.split("(")[1].split()[0])) < 10
