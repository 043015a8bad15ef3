from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from textual.widgets import Input, OptionList, Static

from tests.conftest import REPOSITORY, SAMPLES
from tui.core.deep import values, verify
from tui.core.record import replace
from tui.triage import downloads
from tui.triage.options import Options
from tui.triage.session import Session
from tui.ui.app import CkptriageApp
from tui.ui.screens.dialogs import Read
from tui.ui.screens.explorer import Explorer
from tui.ui.screens.side_by_side import SideBySide
from tui.ui.widgets.line_view import LineView
from tui.ui.widgets.tree import CheckpointTree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

pytestmark = pytest.mark.loader
SIZES = [(60, 20), (80, 24), (120, 40), (200, 60)]


async def until(pilot: Pilot[Any], predicate: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not predicate():
            await pilot.pause(0.02)


def explorer(app: CkptriageApp) -> Explorer:
    screen = app.screen_stack[-1] if isinstance(app.screen_stack[-1], Explorer) else app.screen_stack[1]
    assert isinstance(screen, Explorer)
    return screen


def text(app: CkptriageApp, name: str) -> str:
    return explorer(app).query_one(f"#{name}", LineView).text


@pytest.fixture
def few(tmp_path: Path) -> Path:
    for name in ("bert-ner", "bert-ner-labels", "bert-ner-truncated", "torch-main-module"):
        shutil.copytree(SAMPLES / name, tmp_path / "few" / name)
    return tmp_path / "few"


def _app(*paths: Path) -> CkptriageApp:
    return CkptriageApp(Session([str(path) for path in paths], Options()))


async def _settled(pilot: Pilot[Any], app: CkptriageApp) -> None:
    await until(pilot, lambda: len(app.screen_stack) > 1 and bool(explorer(app).session.triages))
    await until(pilot, lambda: not explorer(app).session.pending)
    await pilot.pause()


async def test_a_directory_lists_its_causes_worst_first(few: Path) -> None:
    app = _app(few)
    async with app.run_test(size=(80, 24)) as pilot:
        await _settled(pilot, app)
        screen = explorer(app)
        await pilot.press("up")
        await until(pilot, lambda: screen.folder == str(few))
        assert "3 ✗ fails" in text(app, "answer")
        await pilot.press("7")
        rows = text(app, "findings").splitlines()
        assert [row.split()[:2] for row in rows] == [
            ["✗", "bert-ner-labels"], ["✗", "bert-ner-truncated"], ["✗", "torch-main-module"],
        ]  # fmt: skip
        await pilot.press("down", "enter")
        await until(pilot, lambda: screen.path == str(few / "bert-ner-truncated"))
        assert "The file is cut short" in text(app, "findings")


async def test_the_current_directory_is_a_row_and_promises_nothing_before_the_loader_has_spoken(
    few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(few)
    for name in ("bert-ner-labels", "bert-ner-truncated", "torch-main-module"):
        shutil.rmtree(few / name)
    asked = asyncio.Event()
    judge = Session.judge

    async def waiting(session: Session, path: str) -> Any:
        await asked.wait()
        return await judge(session, path)

    monkeypatch.setattr(Session, "judge", waiting)
    app = CkptriageApp(Session(["."], Options()))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(app.screen_stack) > 1 and bool(explorer(app).session.pending))
        await pilot.press("up")
        await until(pilot, lambda: explorer(app).folder == ".")
        await pilot.press("7")
        assert "the loader is still to be asked about 1 checkpoint" in text(app, "findings")
        asked.set()
        await until(pilot, lambda: "every check passed" in text(app, "findings"))


async def test_the_main_job(few: Path) -> None:
    app = _app(few)
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        screen = explorer(app)
        labels = str(few / "bert-ner-labels")
        screen.query_one(CheckpointTree).go_to(labels)
        await until(pilot, lambda: screen.path == labels)
        await until(pilot, lambda: "num_labels is 9" in text(app, "answer"))
        await pilot.press("3")
        await until(pilot, lambda: "classifier.weight" in text(app, "compare"))
        assert "2 mismatched" in text(app, "compare")
        await pilot.press("f")
        await until(pilot, lambda: "2 keys fixed" in text(app, "compare"))
        assert "39 match" in text(app, "compare")
        await pilot.press("u")
        await until(pilot, lambda: "2 mismatched" in text(app, "compare"))
        await pilot.press("r")
        await until(pilot, lambda: "as predicted" in text(app, "log"))
        await until(pilot, lambda: "diagnosis: num_labels is 9" in text(app, "log"))
        assert "RuntimeError" in text(app, "log")


def test_the_ui_process_imports_no_framework_by_the_end_of_the_main_job() -> None:
    code = (
        "import asyncio, sys\nfrom tests.builders.screenshot import picture\nasyncio.run(picture())\n"
        "print([name for name in ('torch', 'transformers', 'tensorflow', 'tokenizers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]", done.stderr


async def test_an_edit_by_hand_answers_in_the_loaders_words(few: Path) -> None:
    app = _app(few / "bert-ner")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        screen = explorer(app)
        await pilot.press("3")
        screen.set_value("hidden_size", 33)
        await until(pilot, lambda: "not a multiple" in text(app, "compare"))
        screen.set_value("hidden_size", "32")
        await until(pilot, lambda: "StrictDataclass" in text(app, "compare"))
        screen.set_value("num_hidden_layers", 3)
        screen.set_value("hidden_size", 16)
        await until(pilot, lambda: "16 missing" in text(app, "compare"))


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_is_cut_off(few: Path, size: tuple[int, int]) -> None:
    app = _app(few)
    async with app.run_test(size=size) as pilot:
        await _settled(pilot, app)
        for number in "123456789":
            await pilot.press(number)
            await pilot.pause()
            screen = explorer(app)
            for widget in screen.query("*"):
                if widget.display and widget.region.area and widget.parent is not None:
                    assert widget.region.right <= size[0], widget
                    assert widget.region.bottom <= size[1], widget
            focused = screen.focused
            assert focused is not None
            assert focused.region.height >= 4, focused


async def test_a_broken_file_and_a_pickle_are_explained(few: Path) -> None:
    app = _app(few)
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        screen = explorer(app)
        for name, words in (("bert-ner-truncated", "cut short"), ("torch-main-module", "Tagger")):
            screen.query_one(CheckpointTree).go_to(str(few / name))
            await until(pilot, lambda words=words: words in text(app, "answer"))  # type: ignore[misc]  # mypy infers no default


async def test_a_load_attempt_is_cancelled(few: Path) -> None:
    app = _app(few / "bert-ner")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        await pilot.press("r")
        await until(pilot, lambda: explorer(app).attempt is not None)
        await pilot.press("escape")
        await until(pilot, lambda: "cancelled" in text(app, "log"))


async def test_an_empty_directory_says_so(tmp_path: Path) -> None:
    app = _app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(
            pilot, lambda: "no checkpoint below" in explorer(app).scanning if len(app.screen_stack) > 1 else False
        )


async def test_filter_and_help_and_palette(few: Path) -> None:
    app = _app(few / "bert-ner")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        await pilot.press("4", "slash", *"classifier")
        await until(pilot, lambda: text(app, "tensors").count("\n") == 2)
        await pilot.press("escape")
        await until(pilot, lambda: "39 tensors" in text(app, "tensors"))
        await pilot.press("question_mark")
        await until(pilot, lambda: "Moving" in app.screen.query_one("#reader", LineView).text)
        await pilot.press("escape")
        await pilot.press("7")
        await until(pilot, lambda: "nothing found" in text(app, "findings"))


async def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    from tests.builders.checkpoints import write_safetensors

    evil = "w\x1b]52;c;aGk=\x07[/x][@click=app.quit]\u202e\x9b2J"
    write_safetensors(tmp_path / "e\x1b[31m[b].safetensors", {evil: ("F32", (1,))})
    app = _app(tmp_path)
    async with app.run_test(size=(200, 60)) as pilot:
        await _settled(pilot, app)
        for number in "123456789":
            await pilot.press(number)
            await pilot.pause()
        shown = text(app, "tensors")
        assert "\\x1b" in shown
        assert "\x1b" not in shown
        assert "[@click=app.quit]" in shown


async def test_a_value_is_picked_previewed_and_set(few: Path) -> None:
    app = _app(few / "bert-ner")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        await pilot.press("3", "e")
        await until(pilot, lambda: "vocabulary: vocab_size" in _options(app))
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.screen.query("#preview")))
        app.screen.query_one(Input).value = "9"
        await until(pilot, lambda: "2 mismatched" in str(app.screen.query_one("#preview", Static).render()))
        await pilot.press("enter")
        await until(pilot, lambda: "2 keys broken" in text(app, "compare"))
        assert "(f sets it)" in " ".join(text(app, "compare").split())


async def test_a_value_that_is_refused_shows_on_its_field(few: Path) -> None:
    app = _app(few / "bert-ner")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        explorer(app).set_value("hidden_size", 33)
        await until(pilot, lambda: "hidden_size 33 is refused" in text(app, "compare"))
        await pilot.press("5")
        await until(pilot, lambda: "✗ refused: The hidden size" in text(app, "config"))


async def test_a_config_recovered_from_the_weights_is_compared_edited_and_saved(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "bert-ner-no-config", tmp_path / "model")
    app = _app(tmp_path / "model")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        await pilot.press("3")
        await until(pilot, lambda: "recovered from the weights" in text(app, "compare").replace("\n  ", " "))
        assert "39 match" in text(app, "compare")
        await pilot.press("5")
        await until(pilot, lambda: "◇ inferred" in text(app, "config"))
        explorer(app).set_value("num_labels", 7)
        await until(pilot, lambda: explorer(app).session.comparison(str(tmp_path / "model")) is not None)
        await pilot.press("3")
        await until(pilot, lambda: "2 mismatched" in text(app, "compare"))
        await pilot.press("s")
        await until(pilot, lambda: bool(app.screen.query(Input)) and app.screen is not explorer(app))
        app.screen.query_one(Input).value = str(tmp_path / "saved.json")
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "saved.json").exists())
        assert len(json.loads((tmp_path / "saved.json").read_text("utf-8"))["id2label"]) == 7
        assert not (tmp_path / "model" / "config.json").exists()


async def test_a_class_of_the_users_own(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}, tmp_path / "linear.pt")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text("import torch\ndef wide():\n    return torch.nn.Linear(2, 4)\n", "utf-8")
    app = _app(tmp_path / "linear.pt")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        path = str(tmp_path / "linear.pt")
        screen = explorer(app)
        screen.query_one(CheckpointTree).go_to(path)
        await until(pilot, lambda: screen.path == path)
        await pilot.press("c")
        await until(pilot, lambda: "a class of your own" in _options(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: bool(app.screen.query(Input)) and app.screen is not screen)
        app.screen.query_one(Input).value = "mine:wide"
        await pilot.press("enter")
        await until(pilot, lambda: "confined" in str(app.screen.query(Static).first().render()))
        app.screen.query_one(Input).value = str(tmp_path / "code")
        await pilot.press("enter")
        await until(pilot, lambda: "size mismatch for weight" in text(app, "compare").replace("\n  ", " "))
        assert "2 mismatched" in text(app, "compare")


async def test_bytes_of_tied_tensors_are_compared(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "gpt2-tiny", tmp_path / "model")
    state = load_file(str(tmp_path / "model" / "model.safetensors"))
    state["lm_head.weight"] = state["transformer.wte.weight"].clone()
    save_file(state, str(tmp_path / "model" / "model.safetensors"))
    app = _app(tmp_path / "model")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        await pilot.press("3")
        await until(pilot, lambda: "whether their bytes are equal" in text(app, "compare").replace("\n  ", " "))
        explorer(app).compare_ties()
        await until(pilot, lambda: "1 pair equal, 0 unequal" in text(app, "compare"))


def _options(app: CkptriageApp) -> str:
    found = app.screen.query(OptionList)
    return "\n".join(str(item.prompt) for item in found.first().options) if found else ""


async def test_the_meter_answers_its_keys(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = _app(few / "bert-ner")
    async with app.run_test(size=(80, 24)) as pilot:
        await _settled(pilot, app)
        await pilot.press("8")
        await until(pilot, lambda: "512 tokens" in text(app, "memory"))
        await pilot.press("plus", "b", "t")
        await until(pilot, lambda: "1,024 tokens" in text(app, "memory"))
        assert "batch 2" in text(app, "memory")
        assert "as float32" in text(app, "memory")
        await pilot.press("t", "minus")
        await until(pilot, lambda: "as bfloat16" in text(app, "memory"))
        assert "512 tokens" in text(app, "memory")
        unknown = replace(explorer(app).session.machine, ram=None)
        monkeypatch.setattr(Session, "probe", lambda session: unknown)
        explorer(app).look_at_machine()
        await until(pilot, lambda: "free  unknown" in text(app, "memory"))


async def test_a_load_attempt_is_held_against_the_prediction(few: Path) -> None:
    app = _app(few / "bert-ner")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        await pilot.press("r")
        await until(pilot, lambda: "curve" in text(app, "memory"))
        await until(pilot, lambda: "predicted" in text(app, "memory"))
        assert "load  at most" in text(app, "memory")


async def test_two_checkpoints_side_by_side(tmp_path: Path) -> None:
    state = load_file(SAMPLES / "bert-ner" / "model.safetensors")
    (tmp_path / "pair").mkdir()
    save_file(state, tmp_path / "pair" / "a.safetensors")
    changed = {f"model.{name}": value.clone() for name, value in state.items()}
    changed["model.classifier.bias"][0] += 0.125
    torch.save(changed, tmp_path / "pair" / "b.bin")
    app = _app(tmp_path / "pair")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        await until(pilot, lambda: explorer(app).path is not None)
        await pilot.press("d")
        await until(pilot, lambda: bool(app.screen.query(OptionList)))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SideBySide))
        view = app.screen.query_one("#sides", LineView)
        await until(pilot, lambda: "with equal values" in view.text)
        rows = view.text.splitlines()
        differing = [row for row in rows if row.startswith("≠")]
        assert len(differing) == 1
        left, right = differing[0].split("│")
        assert left.split() == ["≠", "classifier.bias", "F32", "[5]"]
        assert right.split() == ["Δ", "0.125", "model.classifier.bias", "F32", "[5]"]
        assert sum(row.startswith("=") for row in rows) == len(state) - 1
        assert max(len(row) for row in rows) <= 120
        await pilot.press("n")
        assert view.current is not None
        assert view.current.text.startswith("≠")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, SideBySide))


async def test_all_bytes_are_read_stopped_and_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(1)
    state = {"a.weight": torch.randn(200, 300), "b.weight": torch.randn(50, 50)}
    state["b.weight"][3, 4] = float("nan")
    (tmp_path / "m").mkdir()
    save_file(state, tmp_path / "m" / "one.safetensors")
    gate, original = threading.Event(), values.look
    monkeypatch.setattr(verify, "PIECE", 4096)
    seen = [0]

    def slow(*arguments: Any) -> None:
        seen[0] += 1
        if seen[0] > 20 and not gate.is_set():
            time.sleep(0.05)
        original(*arguments)

    monkeypatch.setattr(verify, "look", slow)
    app = _app(tmp_path / "m")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        screen = explorer(app)
        await until(pilot, lambda: screen.path is not None)
        await pilot.press("a")
        await until(pilot, lambda: seen[0] > 24)
        assert screen.is_verifying
        await pilot.press("escape")
        await until(pilot, lambda: "the same key goes on" in text(app, "log"))
        await until(pilot, lambda: bool(list((tmp_path / "cache" / "ckptriage" / "deep").iterdir())))
        gate.set()
        before = seen[0]
        await pilot.press("a")
        await until(pilot, lambda: "every byte read" in text(app, "log"))
        assert "were read by an earlier run" in text(app, "log")
        assert seen[0] - before < 62  # of some 62 pieces in all
        assert screen.triage is not None
        assert "tensor-not-finite" in {item.rule for item in screen.triage.findings}
        assert list((tmp_path / "cache" / "ckptriage" / "deep").iterdir()) == []


async def test_what_reading_every_byte_found_stays_after_a_load_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "m" / "one.safetensors"
    path.parent.mkdir()
    torch.manual_seed(1)
    twice = torch.randn(200, 200)
    save_file({"a.weight": twice, "b.weight": twice.clone()}, path)
    app = _app(path)
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        screen = explorer(app)
        await until(pilot, lambda: screen.path is not None)
        await pilot.press("a")
        await until(pilot, lambda: "every byte read" in text(app, "log"))
        assert "every byte read: 1 finding" in text(app, "log")
        assert "nothing odd" not in text(app, "log")
        await pilot.press("r")
        await until(pilot, lambda: "as predicted" in text(app, "log"))
        assert screen.triage is not None
        assert [item.rule for item in screen.triage.findings].count("tensor-duplicate") == 1
        await pilot.press("7")
        assert "a.weight = b.weight" in text(app, "findings")


async def test_values_of_the_tensor_under_the_cursor(tmp_path: Path) -> None:
    save_file({"a.weight": torch.arange(64.0)}, tmp_path / "one.safetensors")
    app = _app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await _settled(pilot, app)
        await until(pilot, lambda: explorer(app).path is not None)
        await pilot.press("4", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Read))
        shown = app.screen.query_one("#reader", LineView).text
        assert "31.5" in shown
        assert "▁" in shown or "█" in shown


async def test_a_growing_file_is_shown_with_its_rate_and_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "REST", 1.5)
    whole = save({"w": torch.randn(300, 300)})
    part = tmp_path / "model.safetensors.part"
    part.write_bytes(whole[:5000])
    for other in ("one.safetensors", "two.safetensors"):
        (tmp_path / other).write_bytes(whole)
    app = _app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        tree = explorer(app).query_one(CheckpointTree)

        def row(name: str) -> str:
            held = {path: str(tree._by_path[path].label) for path in tree.paths()}
            return held.get(str(tmp_path / name), "")

        assert "fails" in row("model.safetensors.part")
        with part.open("ab") as file:
            file.write(whole[5000:190_000])
        await until(pilot, lambda: "growing" in row("model.safetensors.part"))
        assert "/s" in row("model.safetensors.part")
        assert " %" in row("model.safetensors.part")
        tree.go_to(str(part))
        await until(pilot, lambda: "is being downloaded" in text(app, "answer"))
        await until(pilot, lambda: "fails" in row("model.safetensors.part"))
        with part.open("ab") as file:
            file.write(whole[190_000:])
        part.rename(tmp_path / "model.safetensors")
        await until(pilot, lambda: "loads" in row("model.safetensors"))
        assert row("model.safetensors.part") == ""
        await until(pilot, lambda: explorer(app).path == str(tmp_path / "model.safetensors"))


async def test_a_hub_cache_is_shown_by_repository_and_revision(tmp_path: Path) -> None:
    one, two = "1" * 40, "2" * 40
    root = tmp_path / "hub" / "models--acme--bert"
    for place in ("blobs", "refs", f"snapshots/{one}", f"snapshots/{two}"):
        (root / place).mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(SAMPLES / "bert-model-only" / name, root / "blobs" / name.encode().hex())
        for revision in (one, two):
            (root / "snapshots" / revision / name).symlink_to(f"../../blobs/{name.encode().hex()}")
    (root / "snapshots" / two / "gone.safetensors").symlink_to("../../blobs/" + "e" * 64)
    (root / "refs" / "main").write_text(two, "ascii")
    app = _app(tmp_path / "hub")
    async with app.run_test(size=(120, 40)) as pilot:
        await _settled(pilot, app)
        tree = explorer(app).query_one(CheckpointTree)
        labels = {path[-40:]: str(tree._by_path[path].label) for path in tree.paths()}
        assert "111111111111…" in labels[one]
        assert "222222222222… (main)" in labels[two]
        assert "acme/bert" in [str(node.label) for node in tree._directories.values()]
        tree.go_to(next(path for path in tree.paths() if path.endswith(two)))
        await until(pilot, lambda: "▸ 222222222222" in text(app, "overview"))
        assert "hub cache: model acme/bert" in text(app, "overview")
        shown = text(app, "overview")
        assert "▸ 222222222222… (main)" in shown
        assert "blobs are gone: gone.safetensors" in shown
        assert "model.safetensors, in 2 revisions" in shown
