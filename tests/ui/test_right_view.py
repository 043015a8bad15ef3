"""The tree of everything in the explorer: each entry opens, and each view shows its content or why it has none."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLES
from tests.core import test_lfs_clone as lfs
from tests.triage import test_mixed_tree as mixed
from tests.ui.test_explorer import explorer, text, until
from tui.core.text import printable
from tui.triage.options import Options
from tui.triage.session import Session
from tui.ui.app import CkptriageApp
from tui.ui.widgets.tree import CheckpointTree

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.report.model import Triage

pytestmark = pytest.mark.loader
tree = mixed.tree
clone = lfs.clone


def _words(shown: str) -> str:
    """Without line breaks and indentation."""
    return " ".join(shown.split())


def _check_overview(shown: str, triage: Triage) -> None:
    assert triage.checkpoint.kind in shown
    assert triage.verdict in shown
    for file in triage.checkpoint.files[:20]:
        assert printable(file.name)[:20] in shown, file.name
        assert file.format in shown, file.name


def _check_tensors(shown: str, triage: Triage) -> None:
    checkpoint = triage.checkpoint
    tensors = [tensor for file in checkpoint.files for tensor in file.tensors]
    if tensors:
        assert shown.startswith(f"{len(tensors):,} tensor")
        for tensor in (tensors[0], tensors[-1]):
            assert printable(tensor.name)[-8:] in shown, tensor.name
            assert tensor.dtype in shown
        return
    damaged = any(problem.fatal for problem in checkpoint.all_problems())
    assert ("see the findings" in shown) == damaged
    parts = checkpoint.layout.parts if checkpoint.layout is not None else ()
    assert damaged or all(part.name in shown for part in parts)
    assert "holds" in shown or "no file of weights" in shown or damaged or parts


def _check_config(shown: str, triage: Triage) -> None:
    settings = triage.checkpoint.settings
    if settings:
        for key in ("model_type", "_class_name", "architectures"):
            assert (key in settings) == (key in shown)
        return
    for file in triage.checkpoint.files:
        for key in list(file.metadata)[:5]:
            assert key[:16] in shown, (file.name, key)


def _check_findings(shown: str, triage: Triage) -> None:
    for item in triage.findings:
        assert " ".join(item.title.split())[:40] in _words(shown), item.title
        assert item.fix[0].split()[0] in shown
    assert triage.findings or shown.strip()


async def test_every_entry_of_the_tree_has_the_right_view(tree: Path) -> None:
    app = CkptriageApp(Session([str(tree)], Options()))
    async with app.run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: len(app.screen_stack) > 1)
        session = explorer(app).session
        await until(pilot, lambda: len(session.triages) == len(mixed.EXPECTED) and not explorer(app).scanning)
        await until(pilot, lambda: not session.pending)
        rows = explorer(app).query_one(CheckpointTree)
        for name in mixed.EXPECTED:
            path = str(tree / name)
            rows.go_to(path)
            await until(pilot, lambda: explorer(app).path == path)  # noqa: B023  # called here
            triage = session.triages[path]
            for pane, check in (
                ("overview", _check_overview),
                ("tensors", _check_tensors),
                ("config", _check_config),
                ("findings", _check_findings),
            ):
                explorer(app).show_pane(pane)
                await pilot.pause()
                check(text(app, pane), triage)


async def test_a_ggufs_metadata_tokenizer_and_template(tmp_path: Path) -> None:
    app = CkptriageApp(Session([str(SAMPLES / "gguf-tiny")], Options()))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(app.screen_stack) > 1 and explorer(app).path is not None)
        explorer(app).show_pane("config")
        await pilot.pause()
        assert "general.architecture" in text(app, "config")
        explorer(app).show_pane("tokenizer")
        await pilot.pause()
        shown = text(app, "tokenizer")
        assert "{% for m in messages %}{{ m.content }}{% endfor %}" in shown
        assert "it is not rendered" in shown
        assert "8: t0, t1" in shown


async def test_a_git_lfs_clone_below_the_overview(clone: Path) -> None:
    subprocess.run(["git", "-C", str(clone), "status"], check=True, capture_output=True)
    app = CkptriageApp(Session([str(clone)], Options()))
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: len(app.screen_stack) > 1 and explorer(app).path is not None)
        rows = explorer(app).query_one(CheckpointTree)
        rows.go_to(str(clone))
        await until(pilot, lambda: explorer(app).path == str(clone))
        shown = _words(text(app, "overview"))
        assert "git-lfs clone" in shown
        assert "lfs pull --include=sub/c.safetensors" in shown
        assert "model.safetensors" in shown.partition("git-lfs clone")[2]
