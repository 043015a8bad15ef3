"""Checkpoints judged in several processes: the same answers in the same order, whatever happens to a process."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.conftest import SAMPLES
from tui.triage import spread
from tui.triage.from_files import from_files
from tui.triage.options import Options
from tui.triage.paths import found_below

if TYPE_CHECKING:
    from pathlib import Path

    from tui.core.report.summary import Summary
    from tui.core.scan import Found
    from tui.triage.paths import Nothing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

FILES_ONLY = Options(files_only=True)


@pytest.fixture
def rows(tmp_path: Path) -> list[Found | Nothing]:
    """The samples, each twice, and a directory with nothing in it."""
    for number in range(2):
        shutil.copytree(SAMPLES, tmp_path / f"copy{number}")
    (tmp_path / "nothing").mkdir()
    return found_below([str(tmp_path), str(tmp_path / "nothing")])


@pytest.fixture
def alone(rows: list[Found | Nothing]) -> tuple[Summary, ...]:
    """What one process says."""
    assert len(rows) < 2 * spread.EACH
    return spread.judge_files(rows, FILES_ONLY)


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine of three processors, with more checkpoints than there are."""
    monkeypatch.setattr(spread, "EACH", 8)
    monkeypatch.setattr(spread, "_processors", lambda: 3)


def test_the_answers_and_their_order_are_the_same(
    rows: list[Found | Nothing], alone: tuple[Summary, ...], several: None
) -> None:
    told: list[tuple[int, int]] = []
    assert spread.judge_files(rows, FILES_ONLY, lambda done, total: told.append((done, total))) == alone
    assert [summary.path for summary in alone] == [row.path for row in rows]
    assert len({summary.verdict for summary in alone}) > 1
    assert told[-1] == (len(rows), len(rows))
    assert not psutil.Process().children()


@pytest.mark.parametrize("kept", [0, 5])
def test_what_a_process_that_dies_did_not_answer_is_read_here(
    rows: list[Found | Nothing],
    alone: tuple[Summary, ...],
    several: None,
    monkeypatch: pytest.MonkeyPatch,
    kept: int,
) -> None:
    here, real, asked = os.getpid(), from_files, []

    def dying(*given: Any, **more: Any) -> Any:
        asked.append(given)
        if os.getpid() != here and len(asked) > kept:
            os._exit(9)
        return real(*given, **more)

    monkeypatch.setattr(spread, "from_files", dying)
    monkeypatch.setattr(spread, "_BATCH", 1)
    assert spread.judge_files(rows, FILES_ONLY) == alone
    assert len(asked) == len(rows) - 3 * kept


def test_an_interrupted_command_leaves_no_process_behind(rows: list[Found | Nothing], several: None) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spread.judge_files(rows, FILES_ONLY, interrupt)
    assert not psutil.Process().children()
