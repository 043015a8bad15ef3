"""`python -m tests.conformance [--share 0.1] [--results FILE]`: resumable, prints progress and the table."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import transformers

from tests.conformance import run
from tests.conformance.run import Case, as_line, sampled


def main() -> int:
    """Run what is not in the results file yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of the classes, 0 to 1")
    parser.add_argument("--results", type=Path, default=Path("conformance.jsonl"))
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    known = _read(arguments.results)
    pairs = sampled(arguments.share)
    done = {(case.model_class, case.damage) for case in known}

    def keep(cases: list[Case]) -> None:
        known.extend(cases)
        with arguments.results.open("a", encoding="utf-8") as file:
            file.writelines(as_line(case) + "\n" for case in cases)
        bad = sum(not case.agrees for case in known)
        print(
            f"\r{len({case.model_class for case in known})} of {len(pairs)} classes, {len(known)} cases, {bad} differ",
            end="",
            file=sys.stderr,
        )

    run.yield_cases = keep
    asyncio.run(run.check(pairs, done))
    print(file=sys.stderr)
    print(table(known))
    return 0 if all(case.agrees for case in known) else 1


def _read(path: Path) -> list[Case]:
    if not path.exists():
        return []
    return [Case(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def table(cases: list[Case]) -> str:
    """Cases and agreements by kind of damage, then every disagreement.

    The answer that is shown is the audit's; the live path alone stands beside it.
    """
    total = Counter(case.damage for case in cases)
    shown = Counter(case.damage for case in cases if "audit: " not in case.detail)
    live = Counter(case.damage for case in cases if "live: " not in case.detail)
    rows = [
        f"transformers {transformers.__version__}",
        "",
        "| damage | cases | agree | live path alone |",
        "|---|---|---|---|",
    ]
    rows += [f"| {name} | {count} | {shown[name]} | {live[name]} |" for name, count in total.items()]
    count = max(len(cases), 1)
    agree, alone = sum(shown.values()), sum(live.values())
    types, classes = len({case.model_type for case in cases}), len({case.model_class for case in cases})
    rows += [
        f"| all ({classes} classes of {types} model types) | {len(cases)} | {agree} ({100 * agree / count:.2f} %) "
        f"| {alone} ({100 * alone / count:.2f} %) |",
        "",
    ]
    rows += [f"- {case.model_class}, {case.damage}: {case.detail}" for case in cases if not case.agrees]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
