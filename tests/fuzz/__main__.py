"""The long run: `python -m tests.fuzz --count N [--first SEED]` mutates each seed N times and reads the results."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.fuzz.mutate import many
from tests.fuzz.seeds import seeds
from tui.core.assemble import read_one_file


def run(count: int, first: int, place: Path) -> list[str]:
    """Inputs that a reader did not answer: format and seed, with what went wrong."""
    failures: list[str] = []
    for name, data in seeds(place).items():
        path = place / f"fuzzed-{name}"
        for seed, changed in many(data[:20_000], first, count):
            path.write_bytes(changed)
            try:
                found = read_one_file(path, name).all_problems()
            except Exception as error:
                failures.append(f"{name} seed {seed}: {type(error).__name__}: {error}")
                continue
            failures += [f"{name} seed {seed}: {item.message}" for item in found if item.code == "file-unreadable"]
    return failures


def main() -> int:
    """0 when every input was answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        failures = run(options.count, options.first, Path(place))
    print("\n".join(failures[:50]) or f"all answered: {options.count:,} mutations of each format")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
