"""Timing helpers: medians of interleaved runs, so that a ratio holds when the machine's speed drifts."""

from __future__ import annotations

import os
import pty
import resource
import select
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 5


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    reach: str


def keep_bytecode(place: Path) -> None:
    """Every process started after this finds compiled modules, as those of an installed package are."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(place)


def median_pair(first: Callable[[], float], second: Callable[[], float], runs: int = RUNS) -> tuple[float, float]:
    """Medians of two figures taken in turn, after one warm-up of each."""
    first()
    second()
    pairs = [(first(), second()) for _ in range(runs)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def seconds(*command: str) -> float:
    """Wall time of a whole process."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - started


def processor_seconds(*command: str) -> float:
    """Processor time of a whole process, which must end well; both sides may keep their compiled modules."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, env=kept)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def tool(*arguments: str) -> tuple[str, ...]:
    """The command line of the program under test."""
    return (sys.executable, "-m", "tui", *arguments)


@dataclass(frozen=True)
class Painted:
    """A program in a pseudo-terminal until words were on its screen, and then idle."""

    seconds: float
    bytes: int
    idle: int
    """Bytes written in the two seconds after it came to rest."""

    resident: int


def paint(command: tuple[str, ...], words: bytes, rest: float = 0.0, size: tuple[int, int] = (24, 80)) -> Painted:
    """Start `command` in a terminal and wait for `words`; `rest` seconds later count two idle ones."""
    import fcntl
    import struct
    import termios

    started = time.perf_counter()
    child, descriptor = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(command[0], list(command))
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    seen = b""
    while words not in seen and time.perf_counter() - started < 60:
        seen += _read(descriptor, 0.05)
    took, count = time.perf_counter() - started, len(seen)
    idle = 0
    if rest:
        end = time.perf_counter() + rest
        while time.perf_counter() < end:
            _read(descriptor, 0.05)
        end = time.perf_counter() + 2
        while time.perf_counter() < end:
            idle += len(_read(descriptor, 0.05))
    resident = _resident(child)
    os.kill(child, 9)
    os.waitpid(child, 0)
    os.close(descriptor)
    return Painted(took, count, idle, resident)


def _read(descriptor: int, timeout: float) -> bytes:
    ready, _, _ = select.select([descriptor], [], [], timeout)
    if not ready:
        return b""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""


def _resident(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    sizes = [int(line.split()[1]) for line in lines if line.startswith("VmRSS")]
    return sizes[0] * 1024 if sizes else 0
