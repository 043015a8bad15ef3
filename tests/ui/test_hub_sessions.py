"""The README's session with TensorFlow Hub's BERT, followed key by key: from red to green."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input, OptionList, Static

from tests.conftest import REPOSITORY, SAMPLES
from tests.triage.test_command_line import run
from tests.ui.test_explorer import explorer, text, until
from tui.triage.options import Options
from tui.triage.session import Session
from tui.ui.app import CkptriageApp

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

pytestmark = [pytest.mark.loader, pytest.mark.timeout(300)]
pytest.importorskip("tensorflow_hub")


def _app(name: str, place: Path) -> CkptriageApp:
    shutil.copytree(SAMPLES / name, place / name)
    return CkptriageApp(Session([str(place / name)], Options()))


def _log(app: CkptriageApp) -> str:
    """The log without its line breaks."""
    return " ".join(text(app, "log").split())


async def _shown(pilot: Pilot[Any], app: CkptriageApp) -> None:
    await until(pilot, lambda: len(app.screen_stack) > 1 and explorer(app).triage is not None)


async def _pick(pilot: Pilot[Any], app: CkptriageApp, words: str) -> None:
    """Open the list of loaders and take the one that begins with `words`."""
    await pilot.press("o")
    await until(pilot, lambda: bool(app.screen.query(OptionList)))
    options = app.screen.query_one(OptionList)
    shown = [str(options.get_option_at_index(index).prompt) for index in range(options.option_count)]
    [index] = [number for number, item in enumerate(shown) if item.startswith(words)]
    options.highlighted = index
    await pilot.press("enter")


async def test_a_handle_of_tensorflow_1_is_red_and_green_through_its_signature(tmp_path: Path) -> None:
    app = _app("tfhub-bert-v1", tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await _shown(pilot, app)
        await pilot.press("r")
        await until(pilot, lambda: "'AutoTrackable' object is not callable" in _log(app), 120)
        await until(pilot, lambda: "as predicted ✓" in _log(app))
        assert "called through its signature tokens" in _log(app)
        await _pick(pilot, app, "hub.signature")
        await until(pilot, lambda: "with hub.signature: predicted loads" in _log(app))
        await until(pilot, lambda: "= loaded in" in _log(app), 120)
        await until(pilot, lambda: "as predicted ✓" in _log(app))
        assert "diagnosis" not in _log(app)


async def test_a_call_with_text_is_red_and_with_the_right_dict_green(tmp_path: Path) -> None:
    app = _app("tfhub-bert-v3", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await _shown(pilot, app)
        await _pick(pilot, app, "a call of your own")
        await until(pilot, lambda: bool(app.screen.query("#preview")))
        field = app.screen.query_one(Input)
        right = field.value
        await until(pilot, lambda: "✓ it fits" in str(app.screen.query_one("#preview", Static).render()))
        field.value = '{"text": "string[1]"}'
        await until(pilot, lambda: "gives raw text" in str(app.screen.query_one("#preview", Static).render()))
        await pilot.press("enter")
        await until(pilot, lambda: "predicted fails" in _log(app))
        await until(pilot, lambda: "Could not find matching concrete function" in _log(app), 120)
        await until(pilot, lambda: "The call does not fit: the model takes ids" in _log(app))
        await _pick(pilot, app, "a call of your own")
        await until(pilot, lambda: bool(app.screen.query(Input)))
        assert app.screen.query_one(Input).value == right
        await pilot.press("enter")
        await until(pilot, lambda: "= loaded in" in _log(app), 120)
        await until(pilot, lambda: "as predicted ✓" in _log(app))


async def test_other_kinds_have_one_loader(tmp_path: Path) -> None:
    app = _app("gguf-tiny", tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await _shown(pilot, app)
        await pilot.press("o")
        await pilot.pause(0.2)
        assert not app.screen.query(OptionList)


def test_the_readme_tells_the_session() -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    for command in ("load tfhub-bert-v1 --loader hub.signature", '--call \'{"text": "string[1]"}\''):
        assert command in readme
    told = run("load", str(SAMPLES / "tfhub-bert-v1"), "--loader", "hub.signature")
    assert told.returncode == 0
    assert told.stdout.strip().endswith("[as predicted]")
    encoder = str(SAMPLES / "tfhub-bert-v3")
    assert run("check", "--files-only", encoder, "--call", '{"text": "string[1]"}').returncode == 1
    assert run("check", "--call", '{"text": 3}', encoder).returncode == 2
