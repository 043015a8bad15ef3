"""From what a pickle would do to a level, with a reason for each step up.

`tensors_only` comes from the allow-list alone; everything else names what it asks for. Nothing is called safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.checkpoint import LEVELS, PickleReport
from tui.core.formats.pickles.allowed import (
    DANGEROUS_MODULES,
    DANGEROUS_NAMES,
    DANGEROUS_PACKAGES,
    PLAIN_DATA,
    TORCH_ALLOWED,
    TRAVERSAL,
)
from tui.core.text import printable

if TYPE_CHECKING:
    from tui.core.formats.pickles.trace import Trace
    from tui.core.formats.pickles.values import Global
    from tui.core.formats.pickles.walk import Found

_UNSAFE_MESSAGE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` to "
    "`True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in "
    "arbitrary code execution. Do it only if you got the file from a trusted source."
)


def judge(traces: list[Trace], found: Found, broken: str = "") -> PickleReport:
    """The report on one file's pickles; `broken` says why reading stopped early."""
    reasons: list[tuple[str, str]] = []
    names: dict[str, None] = {}
    for trace in traces:
        reasons.extend(trace.reasons)
        for item in trace.globals:
            names.setdefault(item.full)
            level, reason = _of_global(item)
            if level:
                reasons.append((level, reason))
    if broken:
        reasons.append(("not_verified", broken))
    if found.cut:
        reasons.append(("not_verified", "holds more objects than are looked at"))
    worst = max((level for level, _ in reasons), key=LEVELS.index, default="tensors_only")
    refusal = next((trace.refusal for trace in traces if trace.refusal is not None), None)
    ordered = sorted(dict.fromkeys(reasons), key=lambda item: -LEVELS.index(item[0]))
    return PickleReport(
        level=worst,
        globals=tuple(names),
        unlisted=tuple(name for name in names if name not in TORCH_ALLOWED),
        reasons=tuple(reason for _, reason in ordered[:40]),
        protocol=max((trace.protocol for trace in traces), default=0),
        top_keys=tuple(found.top_keys),
        containers=tuple(found.containers),
        root=found.root,
        weights_only_error=weights_only_error(refusal) if refusal is not None else None,
    )


def _of_global(item: Global) -> tuple[str, str]:
    """Level and reason for one imported name; an empty level means it is allowed."""
    full = item.full
    if full in TORCH_ALLOWED or full in PLAIN_DATA:
        return "", ""
    shown = printable(full)
    top = item.module.partition(".")[0]
    if full in DANGEROUS_NAMES or top in DANGEROUS_MODULES or item.module in DANGEROUS_MODULES:
        return "dangerous", f"would call {shown}"
    if any(item.module == prefix or item.module.startswith(f"{prefix}.") for prefix in DANGEROUS_PACKAGES):
        return "dangerous", f"would call {shown}"
    if "." in item.name and _reaches(item.name):
        return "dangerous", f"reaches through {shown} to something it does not name"
    if full in TRAVERSAL:
        return "suspicious", f"would call {shown} to reach what it does not name"
    return "needs_code", f"needs {shown}"


def _reaches(name: str) -> bool:
    """Whether a dotted name walks into a module or a private part that no class has."""
    parts = name.split(".")
    return any(part.strip("_") in DANGEROUS_MODULES or part.startswith("__") for part in parts)


def weights_only_error(refusal: str) -> tuple[str, str]:
    """What `torch.load` raises (`torch/serialization.py` 2.13, `_get_wo_message`), without its colours."""
    if "was not an allowed global by default" in refusal:
        text = (
            "Weights only load failed. This file can still be loaded, to do so you have two options, do those steps "
            f"only if you trust the source of the checkpoint. \n\t(1) {_UNSAFE_MESSAGE}\n\t(2) Alternatively, to load "
            "with `weights_only=True` please check the recommended steps in the following error message.\n\t"
            f"WeightsUnpickler error: {refusal}"
        )
    else:
        text = f"Weights only load failed. {_UNSAFE_MESSAGE}\n\n{refusal}"
    return ("UnpicklingError", text)
