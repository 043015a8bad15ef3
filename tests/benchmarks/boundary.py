"""`python -m tests.benchmarks.boundary [NAME…]`: the smallest memory group in which a load survives.

A real memory cgroup is made where the machine allows; the child is put into it before it imports anything. Swap is
forbidden, file pages are given back under pressure, so that what decides is anonymous memory and the kernel's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import REPOSITORY
from tui.core.assemble import read_directory
from tui.core.estimate.figures import figures
from tui.core.estimate.model import Scenario
from tui.loading.base import probe, question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUNS = (
    ("llama", "safetensors", "auto"), ("llama", "safetensors", "float32"), ("bert", "legacy bin", "auto"),
    ("opt", "zip bin", "auto"), ("mixtral large", "safetensors", "auto"),
)  # fmt: skip
"""A file that is mapped, a cast, two formats of torch, and experts that are stacked."""

_STEP = 0.005
"""Of the prediction: how near the two ends of the search come."""


def group_root() -> Path | None:
    """Where a memory group can be made, or `None`."""
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        place = root / f"ckptriage-{os.getpid()}"
        try:
            place.mkdir()
        except OSError:
            continue
        limit = (place / "memory.limit_in_bytes").exists() or (place / "memory.max").exists()
        place.rmdir()
        if limit:
            return root
    return None


@contextmanager
def group(root: Path, limit: int) -> Iterator[Path]:
    """A group of its own with this limit and no swap."""
    place = Path(tempfile.mkdtemp(prefix="ckptriage-", dir=root))
    try:
        old = (place / "memory.limit_in_bytes").exists()
        (place / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(limit))
        swap = place / ("memory.swappiness" if old else "memory.swap.max")
        if swap.exists():
            swap.write_text("0")
        yield place
    finally:
        place.rmdir()


def survives(root: Path, limit: int, request: dict[str, object]) -> bool:
    """Whether the load ends well in a group of this size."""
    with group(root, limit) as place:

        def enter() -> None:
            (place / "cgroup.procs").write_text(str(os.getpid()))

        command = [sys.executable, "-m", "tests.benchmarks.load_child", json.dumps(request)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            command,
            input=b"\n\n\n",
            capture_output=True,
            env=environment,
            cwd=REPOSITORY,
            check=False,
            preexec_fn=enter,
        )
    return b"loaded" in done.stdout


def smallest(low: float, high: float, lives: Callable[[float], bool]) -> float | None:
    """The smallest share of the prediction that survives, to half a percent; `None` where even `high` does not."""
    if not lives(high):
        return None
    while high - low > _STEP:
        middle = (low + high) / 2
        low, high = (low, middle) if lives(middle) else (middle, high)
    return high


def boundary(root: Path, name: str, form: str, dtype: str) -> tuple[int, float | None]:
    """(predicted peak in bytes, smallest limit that survives as a share of it)."""
    from tests.builders.larger_models import RECIPES, variant

    recipe = next(recipe for recipe in RECIPES if recipe.name == name)
    place = Path(tempfile.mkdtemp(prefix="boundary-"))
    try:
        command = [sys.executable, "-m", "tests.builders.larger_models", recipe.name, str(place / "model")]
        subprocess.run(command, check=True, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
        directory = variant(place / "model", place / "variant", form)
        checkpoint = read_directory(directory, name)
        base = asyncio.run(probe(None, question(checkpoint)))
        peak = figures(checkpoint, Scenario(dtype, recipe.tokens), base).load_peak
        if peak is None:
            raise RuntimeError(f"{name} is not modelled")
        request: dict[str, object] = {
            "loader": "from_pretrained", "class": recipe.cls, "path": str(directory), "dtype": dtype, "tokens": 0,
        }  # fmt: skip
        return peak, smallest(0.9, 1.1, lambda share: survives(root, int(peak * share), request))
    finally:
        shutil.rmtree(place)


def table(names: set[str]) -> list[str]:
    """Rows of Markdown; one that says so where no group can be made."""
    root = group_root()
    if root is None:
        return ["No memory group can be made on this machine."]
    rows = [
        "| model | files | dtype | predicted peak | smallest group that survives | off |",
        "|---|---|---|---|---|---|",
    ]
    for name, form, dtype in RUNS:
        if names and name not in names:
            continue
        peak, share = boundary(root, name, form, dtype)
        found = f"{peak * share / 1e6:.0f} MB | {100 * (share - 1):+.1f} %" if share is not None else "above 110 % | ?"
        rows.append(f"| {name} | {form} | {dtype} | {peak / 1e6:.0f} MB | {found} |")
    return rows


def main() -> int:
    """Print the table."""
    print("\n".join(table(set(sys.argv[1:]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
