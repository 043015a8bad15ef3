"""The long sweep: `python -m tests.hostile` makes a real load attempt of every hostile input and prints how each ended.

0 when no payload ran, nothing printed a traceback of ours or an acting byte, and every attempt came to an end.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.builders.hostile_files import write_directories, write_files
from tests.builders.hostile_pickles import RUNS, exhausting
from tests.hostile.test_commands import ACTS

SECONDS = 60


def inputs(place: Path) -> list[Path]:
    """Everything the builders make."""
    made = [*write_files(place), *write_directories(place)]
    for name, data in {**RUNS, **exhausting()}.items():
        (place / name).write_bytes(data)
        made.append(place / name)
    return made


def attempt(path: Path, here: Path) -> tuple[str, list[str]]:
    """How `ckptriage load` ended, and what must not have happened."""
    command = [sys.executable, "-m", "tui", "load", str(path), "--json", "--timeout", str(SECONDS)]
    wrong: list[str] = []
    try:
        done = subprocess.run(command, capture_output=True, cwd=here, timeout=3 * SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "hangs", ["no end"]
    said, complained = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "surrogateescape")
    wrong += ["traceback"] if "Traceback (most recent call last)" in complained else []
    wrong += ["acting byte"] if ACTS.search(complained) or ACTS.search(said) else []
    wrong += ["the payload ran"] if any(here.rglob("canary")) or any(path.parent.rglob("canary")) else []
    if done.returncode == 2:
        return "not one checkpoint", wrong
    try:
        return str(json.loads(said)["outcome"]), wrong
    except (ValueError, KeyError):
        return f"exit {done.returncode}", [*wrong, "no JSON"]


def main() -> int:
    """Print a line for each input that did not end by itself, or not as it must, and how many ended how."""
    ended: Counter[str] = Counter()
    bad = 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as here:
        for path in inputs(Path(made)):
            outcome, wrong = attempt(path, Path(here))
            ended[outcome] += 1
            bad += bool(wrong)
            if wrong or outcome in ("timeout", "killed"):
                print(f"{path.name!a}: {outcome}: {', '.join(wrong) or 'stopped from outside'}", flush=True)
    told = ", ".join(f"{count} {outcome}" for outcome, count in ended.most_common())
    print(f"{ended.total()} inputs in {time.monotonic() - started:,.0f} s: {told}; {bad} not as they must be")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
