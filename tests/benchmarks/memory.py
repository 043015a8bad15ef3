"""`python -m tests.benchmarks.memory`: predicted against measured memory, written to MEMORY.md.

Every model is made on the spot, measured in a process of its own, and deleted. The prediction is the program's own,
from headers and config, with the base of this interpreter as the program probes it.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import boundary
from tests.benchmarks.peaks import measure
from tests.conftest import REPOSITORY
from tui.core.assemble import read_directory
from tui.core.estimate.cache import cache_bytes
from tui.core.estimate.figures import figures
from tui.core.estimate.model import Scenario
from tui.loading.base import probe, question

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.builders.larger_models import Recipe

HERE = Path(__file__).parent
TABLE = HERE / "MEMORY.md"
RACES = 5
"""Loads of a model with experts: its reading and its stacking threads race, and the median is what is compared."""

SHAPES = ((2, 21), (1, 5), (3, 8), (1, 1))
"""(sequences, tokens) of the cache runs: beyond a window, at its edge, within it, and a single token."""


@dataclass(frozen=True)
class Row:
    """One load and one pass: bytes of the whole process, predicted and measured."""

    model: str
    group: str
    held_out: bool
    form: str
    stored: int
    dtype: str
    load: tuple[int, int]
    """(predicted, measured) anonymous peak while loading."""

    run: tuple[int, int]
    """The same of load and pass together."""

    spread: tuple[int, int]
    """The smallest and largest of the measured load peaks."""

    @property
    def load_error(self) -> float:
        """Percent of the measured peak."""
        return 100 * (self.load[0] - self.load[1]) / self.load[1]

    @property
    def run_error(self) -> float:
        """Percent of the measured peak."""
        return 100 * (self.run[0] - self.run[1]) / self.run[1]


def main() -> int:
    """Measure everything, print progress, write the table."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    wanted = set(sys.argv[1:])
    families = [] if wanted else list(cached_families())
    rows = list(loads(wanted))
    text = report(rows, families)
    if not wanted:
        words = "A load in a memory group of its own, without swap: the smallest limit that it survives."
        text += "\n".join(["", "## Boundary", "", words, "", *boundary.table(set())]) + "\n"
    if wanted:
        print(text)
    else:
        TABLE.write_text(text, "utf-8")
    return 0


def cached_families() -> Iterator[tuple[str, int, bool]]:
    """(family, bytes of the largest run, whether every run is exact to the byte)."""
    from tests.builders.tiny_models import FAMILIES, build, cached_bytes

    for family in FAMILIES:
        model = build(family)
        config = json.loads(model.config.to_json_string())
        truth = [cached_bytes(model, *shape) for shape in SHAPES]
        ours = [cache_bytes(config, tokens, batch, 2).bytes for batch, tokens in SHAPES]
        print(f"cache {family}: {'exact' if truth == ours else f'{ours} for {truth}'}", flush=True)
        yield family, truth[0], truth == ours


def loads(wanted: set[str]) -> Iterator[Row]:
    """Every recipe's runs."""
    from tests.builders.larger_models import RECIPES

    for recipe in RECIPES:
        if not wanted or recipe.name in wanted:
            yield from _recipe(recipe)


def _recipe(recipe: Recipe) -> Iterator[Row]:
    from tests.builders.larger_models import variant

    place = Path(tempfile.mkdtemp(prefix="memory-"))
    try:
        _make_apart(recipe, place / "model")
        for number, (form, dtype) in enumerate(recipe.runs):
            directory = variant(place / "model", place / f"variant-{number}", form)
            yield _row(recipe, form, dtype, directory)
            if directory != place / "model":
                shutil.rmtree(directory)
    finally:
        shutil.rmtree(place)


def _make_apart(recipe: Recipe, place: Path) -> None:
    """Make the model in a process of its own, so that its memory is given back."""
    command = [sys.executable, "-m", "tests.builders.larger_models", recipe.name, str(place)]
    subprocess.run(command, check=True, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})


def _row(recipe: Recipe, form: str, dtype: str, directory: Path) -> Row:
    checkpoint = read_directory(directory, recipe.name)
    base = asyncio.run(probe(None, question(checkpoint)))
    made = figures(checkpoint, Scenario(dtype, recipe.tokens), base)
    request = {"loader": "from_pretrained", "class": recipe.cls, "path": str(directory), "dtype": dtype,
               "tokens": recipe.tokens}  # fmt: skip
    measured = [measure(request) for _ in range(RACES if recipe.group == "experts" else 1)]
    load = sorted(peaks.load for peaks in measured)
    run = sorted(max(peaks.load, peaks.run) for peaks in measured)
    if made.load_peak is None or made.must is None:
        raise RuntimeError(f"{recipe.name} is not modelled: {made.missing}")
    row = Row(
        recipe.name, recipe.group, recipe.held_out, form, made.weights.stored,
        f"{recipe.stored} → {made.weights.target}", (made.load_peak, load[len(load) // 2]),
        (made.must, run[len(run) // 2]), (load[0], load[-1]),
    )  # fmt: skip
    print(
        f"load {row.model} {row.form} {row.dtype}: {row.load_error:+.2f} %, with a pass {row.run_error:+.2f} %",
        flush=True,
    )
    return row


def report(rows: list[Row], families: list[tuple[str, int, bool]]) -> str:
    """The table as Markdown."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "safetensors", "numpy"))
    lines = [
        "# Memory: predicted against measured",
        "",
        "Made by `python -m tests.benchmarks.memory`. Every model has random weights, is loaded by `from_pretrained`",
        "in a process of its own, and makes one pass; anonymous memory is sampled from `/proc`. The prediction is",
        "what `ckptriage memory` says, from headers and config alone. Held out: no constant was chosen with that",
        f"model in view. Models with experts were measured {RACES} times, since threads race in their load: the median",
        "stands, and in brackets the smallest and largest.",
        "",
        f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"{' '.join(platform.libc_ver())}; Python {platform.python_version()}, {packages}.",
        "",
        "| rows | load: mean, worst | load and one pass: mean, worst |",
        "|---|---|---|",
    ]
    for words, chosen in (
        ("all", rows),
        ("held out", [row for row in rows if row.held_out]),
        ("without experts", [row for row in rows if row.group != "experts"]),
        ("experts", [row for row in rows if row.group == "experts"]),
    ):
        if chosen:
            lines.append(f"| {words} ({len(chosen)}) | {_spread([row.load_error for row in chosen])} "
                         f"| {_spread([row.run_error for row in chosen])} |")  # fmt: skip
    lines += ["", "MB of anonymous memory of the whole process at the peak:", ""]
    lines += ["| model | kind | files | stored | dtype | load: predicted, measured | error | with a pass | error |"]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    lines += [_line(row) for row in rows]
    exact = [family for family, size, right in families if right and size]
    if families:
        lines += [
            "",
            "## Cache",
            "",
            f"Bytes of the tensors in the library's own cache object after a real pass of a tiny model in 16 bits, "
            f"over {len(SHAPES)} shapes: exact to the byte for {sum(right for *_, right in families)} of "
            f"{len(families)} families, {len(exact)} of which keep a cache.",
            "",
            ", ".join(f"{family}{'' if right else ' (NOT exact)'}" for family, _, right in families) + ".",
        ]
    return "\n".join(lines) + "\n"


def _spread(errors: list[float]) -> str:
    sizes = [abs(error) for error in errors]
    return f"{sum(sizes) / len(sizes):.2f} %, {max(sizes):.2f} %"


def _line(row: Row) -> str:
    def pair(sizes: tuple[int, int]) -> str:
        return f"{sizes[0] / 1e6:.0f}, {sizes[1] / 1e6:.0f}"

    least, most = (f"{size / 1e6:.0f}" for size in row.spread)
    spread = f" ({least} to {most})" if row.spread[0] != row.spread[1] else ""
    star = " (held out)" if row.held_out else ""
    return (
        f"| {row.model}{star} | {row.group} | {row.form} | {row.stored / 1e6:.0f} | {row.dtype} "
        f"| {pair(row.load)}{spread} | {row.load_error:+.2f} % | {pair(row.run)} | {row.run_error:+.2f} % |"
    )


if __name__ == "__main__":
    sys.exit(main())
