"""`python -m tests.conformance.healthy [--count N]`: tiny models of many families, and what is said of them.

A healthy checkpoint gets no error. Its verdict is `loads`, or `degraded` where the class itself does not read back
every tensor that it saves.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import transformers

from tests.conformance.run import build, classes
from tui.core.assemble import read_directory
from tui.core.estimate import Available
from tui.core.report.model import triage_of
from tui.loading.worker import Worker
from tui.triage.ask import Asker
from tui.triage.flow import gather
from tui.triage.options import Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tui.core.report.model import Triage


async def healthy(count: int) -> AsyncIterator[tuple[str, Triage]]:
    """(model type, triage) of one model each of `count` families."""
    worker = Worker()
    asker = Asker(worker)
    seen: set[str] = set()
    try:
        for model_type, name in classes():
            if model_type in seen or len(seen) >= count:
                continue
            model = build(model_type, name)
            if model is None:
                continue
            with tempfile.TemporaryDirectory() as place:
                try:
                    model.save_pretrained(place)
                except Exception:  # some classes cannot be saved at their default config
                    continue
                if (Path(place) / "model.safetensors").exists():
                    seen.add(model_type)
                    checkpoint = read_directory(Path(place), model_type)
                    yield model_type, triage_of(await gather(checkpoint, asker, Options(), Available()))
    finally:
        await worker.close()


def accused(triage: Triage) -> list[str]:
    """Errors among the findings, and a verdict that says that it does not load."""
    words = [f"{item.rule}: {item.title}" for item in triage.findings if item.severity == "error"]
    return words + ([f"verdict {triage.verdict}"] if triage.verdict in ("fails", "unknown") else [])


async def _run(count: int) -> int:
    print(f"transformers {transformers.__version__}\n\n| family | verdict | findings |\n|---|---|---|")
    total = bad = 0
    async for model_type, triage in healthy(count):
        total += 1
        wrong = accused(triage)
        bad += bool(wrong)
        notes = wrong or [item.rule for item in triage.findings if item.severity == "warning"]
        if notes:
            print(f"| {model_type} | {triage.verdict} | {'; '.join(notes)} |", flush=True)
        print(f"\r{total} families, {bad} accused", end="", file=sys.stderr)
    print(f"\n{total} families, {total - bad} of them without an error; those not listed load without a word.")
    return 1 if bad else 0


def main() -> int:
    """Print the families of which anything is said, then the count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="families, each with one model")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    return asyncio.run(_run(parser.parse_args().count))


if __name__ == "__main__":
    sys.exit(main())
