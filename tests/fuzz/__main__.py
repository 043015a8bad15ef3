"""The long run: `python -m tests.fuzz --count N [--first SEED] [--only NAME…]` mutates each seed N times and reads it.

An input is answered when its reader and all rules over what it read come back, without an exception, in ten seconds
and in four gigabytes of address space.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.tensorflow_seeds import Target, targets
from tui.core.assemble import read_one_file
from tui.core.diagnosis.evidence import Evidence
from tui.core.report.model import triage_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SECONDS = 10
ADDRESS_SPACE = 4 << 30


class TooSlow(BaseException):
    """An input took longer than it may; no handler of `Exception` takes it for an answer."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise `TooSlow` when the block takes longer than `SECONDS`."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def everything(place: Path) -> dict[str, Target]:
    """All files that are mutated."""
    plain = {f"fuzzed-{name}": Target(data[:20_000], mutated) for name, data in seeds(place).items()}
    return {**plain, **targets(place)}


def fault_of(path: Path) -> str:
    """What is wrong with the answer about one file, empty where nothing is."""
    try:
        with limited():
            checkpoint = read_one_file(path, path.name)
            found = [item.message for item in checkpoint.all_problems() if item.code == "file-unreadable"]
            findings = triage_of(Evidence(checkpoint)).findings
            found += [item.evidence[0] for item in findings if item.title == "A check could not be made"]
    except TooSlow:
        return f"no answer in {SECONDS} s"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "; ".join(found)


def run(count: int, first: int, place: Path, only: list[str] | None = None) -> list[str]:
    """Inputs that were not answered: name and seed, with what went wrong."""
    failures: list[str] = []
    for name, target in everything(place).items():
        if only and not any(part in name for part in only):
            continue
        path = place / name
        path.parent.mkdir(exist_ok=True)
        for seed in range(first, first + count):
            path.write_bytes(target.change(target.data, seed))
            fault = fault_of(path)
            if fault:
                failures.append(f"{name} seed {seed}: {fault}")
                print(failures[-1], file=sys.stderr, flush=True)
        path.unlink(missing_ok=True)
        print(f"{name}: {count:,} read", file=sys.stderr, flush=True)
    return failures


def main() -> int:
    """0 when every input was answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", help="parts of names; all formats where none is given")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        failures = run(options.count, options.first, Path(place), options.only)
    took = time.monotonic() - started
    print("\n".join(failures[:50]) or f"all answered: {options.count:,} mutations of each format in {took:,.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
