from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pyte
import pytest

from tests.builders.checkpoints import write_safetensors
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.terminal, pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")]
LEAVE = b"\x1b[?1049l"


class Terminal:
    """The program under a real pseudo-terminal, with an emulator that shows what a user sees."""

    start: tuple[str, ...] = ("-m", "tui")

    def __init__(self, *arguments: str, columns: int = 80, rows: int = 24) -> None:
        environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        for name in ("TMUX", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.child = pexpect.spawn(
            sys.executable, [*self.start, *arguments], dimensions=(rows, columns), env=environment, timeout=5
        )
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""

    def pump(self, seconds: float = 0.1) -> None:
        """Read what arrives within `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                data = self.child.read_nonblocking(65536, timeout=0.05)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                return
            self.raw += data
            self.stream.feed(data)

    def wait(self, words: str, seconds: float = 60.0) -> None:
        """Until `words` are on the screen."""
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end, f"{words!r} never came:\n{self.text}"
            assert self.child.isalive() or words in self.text, self.text
            self.pump()

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.screen.display)

    def ended(self) -> int:
        """The exit code, once it has ended."""
        end = time.monotonic() + 20
        while self.child.isalive():
            assert time.monotonic() < end
            self.pump()
        self.pump(0.2)
        self.child.close()
        status = self.child.exitstatus
        return status if status is not None else -int(self.child.signalstatus or 0)


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[type[Terminal]]:
    made: list[Terminal] = []

    class Kept(Terminal):
        def __init__(self, *arguments: str, columns: int = 80, rows: int = 24) -> None:
            super().__init__(*arguments, columns=columns, rows=rows)
            made.append(self)

    yield Kept
    for item in made:
        item.child.close(force=True)


@pytest.mark.parametrize("keys", ["q", "\x11"])
def test_starts_paints_and_gives_the_terminal_back(terminal: type[Terminal], keys: str) -> None:
    run = terminal(str(SAMPLES / "bert-ner"))
    run.wait("bert-ner")
    run.child.send(keys)
    assert run.ended() == 0
    assert LEAVE in run.raw


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(terminal: type[Terminal], number: signal.Signals) -> None:
    run = terminal(str(SAMPLES / "bert-ner"))
    run.wait("bert-ner")
    run.child.kill(number)
    assert run.ended() == 128 + number
    assert LEAVE in run.raw


BROKEN = """
import sys
from tui.cli.main import run
from tui.ui.screens.explorer import Explorer

def broken(self):
    kept = "the " + "secret value"
    raise RuntimeError("planted [/x]" + chr(27) + "]0;owned" + chr(7))

async def broken_task(self):
    broken(self)

def in_a_worker(self):
    self.run_worker(broken_task(self))

Explorer.action_help = {"handler": broken, "worker": in_a_worker}[sys.argv.pop()]
run(sys.argv[1:])
"""


@pytest.mark.parametrize("where", ["handler", "worker"])
def test_an_exception_is_one_line_after_the_terminal_is_given_back(
    terminal: type[Terminal], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    monkeypatch.setattr(terminal, "start", ("-c", BROKEN))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run = terminal(str(SAMPLES / "bert-ner"), where, columns=400)
    run.wait("bert-ner")
    run.child.send("?")
    assert run.ended() == 1
    assert LEAVE in run.raw
    after = re.sub(r"\x1b\[\?\d+[hl]", "", run.raw.rpartition(LEAVE)[2].decode())
    assert "Traceback" not in after
    [line] = [line for line in after.splitlines() if "planted" in line]
    assert line.startswith("ckptriage: internal error: ") and "planted [/x]" in line
    assert "secret" not in after
    report = Path(line.rpartition(" ")[2]).read_text("utf-8")
    assert "in broken" in report and "planted" in report
    assert "the secret value" not in report
    assert "\x1b" not in report


def test_the_worker_ends_with_the_app(terminal: type[Terminal]) -> None:
    import psutil

    run = terminal(str(SAMPLES / "bert-ner"))
    run.wait("loads")
    children = psutil.Process(run.child.pid).children(recursive=True)
    assert children
    run.child.send("q")
    run.ended()
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_the_main_job_leaves_no_framework_in_the_process(terminal: type[Terminal]) -> None:
    run = terminal(str(SAMPLES / "bert-ner-labels"), columns=120, rows=40)
    run.wait("will not load")
    run.child.send("3")
    run.wait("classifier.weight")
    run.child.send("f")
    run.wait("2 keys fixed")
    run.child.send("u")
    run.wait("2 mismatched")
    run.child.send("r")
    run.wait("as predicted")
    mapped = Path(f"/proc/{run.child.pid}/maps").read_text("utf-8")
    for name in ("libtorch", "tensorflow", "tokenizers", "_safetensors_rust"):
        assert name not in mapped, name


def test_resizing_keeps_everything_in_view(terminal: type[Terminal]) -> None:
    run = terminal(str(SAMPLES / "bert-ner"), columns=60, rows=20)
    run.wait("1Tree")
    for columns, rows, words in ((80, 24, "9Log"), (120, 40, "9 Log")):
        run.screen.resize(rows, columns)  # grows only: the emulator clips at the top when it shrinks
        run.child.setwinsize(rows, columns)
        run.wait(words)
    run.wait("Load attempt")


def test_no_byte_of_a_name_acts_on_the_terminal(terminal: type[Terminal], tmp_path: Path) -> None:
    evil = "w\x1b]52;c;aGk=\x07\x1bc\u202e\x9b31m[/x]"
    write_safetensors(tmp_path / "plain.safetensors", {evil: ("F32", (1,))})
    shutil.copy(tmp_path / "plain.safetensors", tmp_path / "o\x1b]52;c;aGk=\x07.safetensors")
    run = terminal(str(tmp_path))
    run.wait("plain.safetensors")
    for key in "123456789":
        run.child.send(key)
        run.pump(0.3)
    run.child.send("q")
    run.ended()
    assert b"]52;" not in re.sub(rb"\\x1b\]52;", b"", run.raw)
    assert b"\x1bc" not in run.raw
    assert "\u202e".encode() not in run.raw
    assert b"\xc2\x9b" not in run.raw


def test_without_a_terminal_the_report_is_printed() -> None:
    output, status = pexpect.run(
        f"sh -c '{sys.executable} -m tui {SAMPLES / 'bert-ner'} < /dev/null | cat'", withexitstatus=True, timeout=60
    )
    assert status == 0
    assert b"1 checkpoint: 1 loads" in output
