"""Code that a user lets run in a load attempt and that reaches out: stopped each time, with a line in the log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SAMPLES
from tui.loading.isolation import can_isolate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.loader, pytest.mark.skipif(not can_isolate(), reason="this kernel has no Landlock")]

REACHES = {
    "read ~/.ssh": ("open({home!r} + '/.ssh/id_rsa').read()", "tried to read: open"),
    "write outside": ("open({home!r} + '/planted', 'w').write('x')", "tried to write: open"),
    "open a socket": ("__import__('socket').create_connection(('127.0.0.1', 9))", "tried to look up a host"),
    "run a shell": ("__import__('os').system('touch ' + {home!r} + '/planted')", "tried to run a command: os.system"),
    "fork": ("__import__('os').fork()", "tried to start a process: os.fork"),
    "kill the parent": ("__import__('os').kill(__import__('os').getppid(), 9)", "tried to signal a process: os.kill"),
    "read the parent's memory": (
        "open('/proc/' + str(__import__('os').getppid()) + '/mem', 'rb').read(1)",
        "tried to read: open '/proc/",
    ),
}

MODULE = """
import sys
from transformers import BertForTokenClassification
try:
    {action}
    print("PROBE went through")
except BaseException as error:
    print("PROBE stopped:", type(error).__name__)

class Mine(BertForTokenClassification):
    pass
"""


def _load(place: Path, action: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`load` with a class of one's own whose module does `action` when it is imported."""
    home = place / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_rsa").write_text("secret", "utf-8")
    (place / "code").mkdir()
    (place / "code" / "mine.py").write_text(MODULE.format(action=action.format(home=str(home))), "utf-8")
    shutil.copytree(SAMPLES / "bert-ner", place / "model")
    own = ("--class", "mine:Mine", "--code", str(place / "code"))
    command = [sys.executable, "-m", "tui", "load", str(place / "model"), *own, "--trust-remote-code", *arguments]
    environment = {**os.environ, "HOME": str(home)}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


@pytest.mark.parametrize("reach", REACHES)
def test_each_reach_is_stopped_and_said(tmp_path: Path, reach: str) -> None:
    action, line = REACHES[reach]
    done = _load(tmp_path, action)
    log = done.stdout + done.stderr
    assert "PROBE stopped: PermissionError" in log or (reach == "run a shell" and "PROBE" in log), log
    assert line in log, log
    assert "isolated (landlock, seccomp, limits)" in log
    assert not (tmp_path / "home" / "planted").exists()


def test_filling_the_memory_is_stopped_and_said(tmp_path: Path) -> None:
    done = _load(
        tmp_path, "kept = [bytes(1 << 24).replace(bytes(1), b'x') for _ in range(1000)]", "--memory-limit", "1GB"
    )
    log = done.stdout + done.stderr
    assert done.returncode == 1
    assert "ended at the limit of" in log or "PROBE stopped: MemoryError" in log, log
