"""A defect of ours in any command: one line, a report without values, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SAMPLES

START = """
import sys, threading
from tui.cli import main

def broken(*arguments, **named):
    kept = "the " + "secret value"
    raise RuntimeError("planted" + chr(27) + "]0;owned" + chr(7) + "\\nsecond line")

async def forgotten():
    import asyncio
    task = asyncio.ensure_future(later())
    await asyncio.sleep(0)

async def later():
    broken()

class Finalized:
    __del__ = broken

match sys.argv.pop(1):
    case "command":
        import importlib
        module = importlib.import_module("tui.cli." + sys.argv[1])
        module.command.callback = broken
    case "thread":
        main.ckptriage.main = lambda *a, **k: threading.Thread(target=broken).start()
    case "task":
        from tui.cli.crash import run_async
        main.ckptriage.main = lambda *a, **k: run_async(forgotten())
    case "finalizer":
        main.ckptriage.main = lambda *a, **k: Finalized() and None
main.run(sys.argv[1:])
"""


def _run(place: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(place), **more}
    return subprocess.run(
        [sys.executable, "-c", START, *arguments], capture_output=True, text=True, timeout=120, env=environment
    )


COMMANDS = ("check", "inspect", "compare", "memory", "load", "explain", "diff", "envs", "convert", "samples")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_breaks_says_so_in_one_line(tmp_path: Path, command: str) -> None:
    paths = {"diff": 2, "envs": 0, "samples": 0}.get(command, 1)
    done = _run(tmp_path, "command", command, *[str(SAMPLES / "bert-ner")] * paths)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("ckptriage: internal error: RuntimeError: planted")
    assert "\x1b" not in line
    report = Path(line.rpartition(" ")[2]).read_text("utf-8")
    assert "Traceback" in report and "in broken" in report
    assert "the secret value" not in report and "\x1b" not in report


@pytest.mark.parametrize("where", ["thread", "task", "finalizer"])
def test_what_breaks_in_the_background_prints_no_traceback(tmp_path: Path, where: str) -> None:
    done = _run(tmp_path, where)
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr


def test_without_a_place_for_the_report_the_line_says_how_to_get_it(tmp_path: Path) -> None:
    full = "import tempfile\ndef refuse(*a, **k): raise OSError('full')\ntempfile.NamedTemporaryFile = refuse\n"
    start = full + START
    command = [sys.executable, "-c", start, "command", "envs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.endswith("set CKPTRIAGE_DEBUG=1 to see where")


def test_the_traceback_is_there_for_who_asks(tmp_path: Path) -> None:
    done = _run(tmp_path, "command", "envs", CKPTRIAGE_DEBUG="1")
    assert "Traceback" in done.stderr
