"""The long run: `python -m tests.fuzz --count N [--first SEED]` mutates each seed N times and reads the results."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import shutil
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from tests.fuzz.directory_seeds import directories
from tests.fuzz.seeds import Seed, seeds
from tests.fuzz.tensorflow_seeds import targets
from tui.core.assemble import read_directory, read_one_file
from tui.core.diagnosis.evidence import Evidence
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

ADDRESS_SPACE = 4 << 30
HANGS = 10
"""Seconds after which an input is given up."""

JUDGED_EVERY = 8
"""Of so many inputs one goes through the rules too."""

SLOW = 5.0
"""Seconds after which an input counts as not answered."""


@dataclass
class Tally:
    """One seed's mutations: how many, how many gave tensors, the slowest, and what went wrong."""

    inputs: int = 0
    read: int = 0
    """Inputs that were still read as sound."""

    slowest: float = 0.0
    slowest_seed: int = 0
    failures: list[str] = field(default_factory=list)


class TooSlow(BaseException):
    """An input took longer than it may; no handler of `Exception` takes it for an answer."""


@contextmanager
def limited() -> Iterator[None]:
    """Raise `TooSlow` when the block takes longer than `HANGS` seconds."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise TooSlow(f"no answer in {HANGS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HANGS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def alone(place: Path) -> dict[str, Seed]:
    """Files that are read by themselves."""
    more = {name: Seed(target.data, change=target.change) for name, target in targets(place).items()}
    return {**seeds(place), **more}


def everything(place: Path) -> dict[str, Seed]:
    """All files that are mutated."""
    return {**alone(place), **directories(place / "made")}


def fuzz(name: str, seed: Seed, first: int, count: int, place: Path) -> Tally:
    """`count` mutations of one seed, each read, every eighth judged."""
    tally = Tally()
    plain = name.partition("#")[0]
    path = place / "inputs" / name.replace("/", "-").replace("#", "-") / (seed.name or plain)
    root = path.parents[len(PurePath(seed.name).parts) - 1] if seed.root is not None else None
    if seed.root is not None and root is not None:
        shutil.copytree(seed.root, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    for number, changed in seed.mutations(first, count):
        path.write_bytes(seed.wrap(changed))
        tally.inputs += 1
        started = time.perf_counter()
        try:
            with limited():
                _read(path, plain, tally, number, root)
        except (Exception, TooSlow) as error:
            tally.failures.append(f"{name} seed {number}: {type(error).__name__}: {error}")
        taken = time.perf_counter() - started
        if taken > tally.slowest:
            tally.slowest, tally.slowest_seed = taken, number
        if taken > SLOW:
            tally.failures.append(f"{name} seed {number}: {taken:.1f} s")
    return tally


def _read(path: Path, name: str, tally: Tally, number: int, root: Path | None) -> None:
    """Read one input, in its directory where it has one, and note what no reader may say."""
    place = root or (path.parent if name.startswith("dir/") else None)
    checkpoint = read_directory(place, name) if place is not None else read_one_file(path, path.name)
    problems = checkpoint.all_problems()
    tally.read += not any(problem.fatal for problem in problems)
    tally.failures += [f"{name} seed {number}: {item.message}" for item in problems if item.code == "file-unreadable"]
    if number % JUDGED_EVERY:
        return
    findings = triage_of(Evidence(checkpoint)).findings
    failed = [item for item in findings if item.title == "A check could not be made"]
    tally.failures += [f"{name} seed {number}: {item.evidence}" for item in failed]


def run(count: int, first: int, place: Path, held: dict[str, Seed]) -> list[str]:
    """Inputs of these seeds that a reader did not answer: format and seed, with what went wrong."""
    return [line for name, seed in held.items() for line in fuzz(name, seed, first, count, place).failures]


def _row(name: str, tally: Tally) -> str:
    slowest = f"{tally.slowest * 1000:.0f} ms (seed {tally.slowest_seed})"
    return f"| {name} | {tally.inputs:,} | {tally.read:,} | {slowest} | {len(tally.failures)} |"


def main() -> int:
    """0 when every input was answered; prints a table, one row as each seed is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", default=[""], help="parts of seeds' names; all where none is given")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    started = time.perf_counter()
    total = 0
    failures: list[str] = []
    print(f"Python {platform.python_version()}, {datetime.date.today()}, seeds from {options.first:,}\n")
    print("| seed | inputs | read as sound | slowest | not answered |\n|---|---|---|---|---|")
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        place = Path(directory)
        for name, seed in everything(place).items():
            if any(part in name for part in options.only):
                tally = fuzz(name, seed, options.first, options.count, place)
                total, failures = total + tally.inputs, failures + tally.failures
                print(_row(name, tally), flush=True)
                print("".join(f"{line}\n" for line in tally.failures[:50]), end="", file=sys.stderr, flush=True)
    print(f"\n{total:,} inputs in {time.perf_counter() - started:,.0f} s, {len(failures):,} not answered")
    print("\n".join(failures[:50]))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
