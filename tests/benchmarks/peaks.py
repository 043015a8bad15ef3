"""Anonymous memory of a child by phases, sampled from /proc as fast as it can be read."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY


@dataclass(frozen=True)
class Peaks:
    """Bytes of the whole process."""

    base: int
    """Anonymous, after the imports."""

    load: int
    """Anonymous at most while loading."""

    after: int
    """Anonymous once loaded."""

    run: int
    """Anonymous at most during one pass; as `after` where none was run."""

    resident: int
    """Resident at most while loading, file-backed pages counted (`VmHWM`)."""


def measure(request: dict[str, Any]) -> Peaks:
    """Run the child through its phases; raises where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.benchmarks.load_child", json.dumps(request)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=REPOSITORY
    ) as process:
        _phase(process, "ready")
        base = anonymous(process.pid)
        _reset(process.pid)
        load = _phase(process, "loaded", go=True)
        after, resident = anonymous(process.pid), _status(process.pid, "VmHWM")
        run = _phase(process, "ran", go=True)
        process.communicate(b"\n")
    return Peaks(base, max(load, after), after, max(run, after), resident)


def _phase(process: subprocess.Popen[bytes], word: str, go: bool = False) -> int:
    """Sample until the child says `word`; the largest anonymous size seen."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise RuntimeError("the child has no pipes")
    if go:
        process.stdin.write(b"\n")
        process.stdin.flush()
    most = 0
    while not select.select([process.stdout], [], [], 0.0003)[0]:
        most = max(most, anonymous(process.pid))
    said = process.stdout.readline().decode().strip()
    if said != word:
        raise RuntimeError(f"{word}: {process.stderr.read().decode()[-2000:]}")
    return max(most, anonymous(process.pid))


def anonymous(pid: int) -> int:
    """`RssAnon` in bytes."""
    return _status(pid, "RssAnon")


def _status(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    place = text.find(f"{name}:")
    return int(text[place:].split(None, 2)[1]) * 1024 if place >= 0 else 0


def _reset(pid: int) -> None:
    """Make `VmHWM` begin anew."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")
    except OSError:
        return
