"""Pickles: what they import, whether it is here, and what loading them would do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tui.core.checkpoint import is_side_file
from tui.core.diagnosis.make import finding
from tui.core.text import listing, printable, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint, FileReport, PickleReport
    from tui.core.diagnosis.evidence import Evidence, Finding

_LEVEL_RULES = {
    "dangerous": "security-pickle-globals",
    "suspicious": "security-pickle-suspicious",
    "not_verified": "security-pickle-unverified",
}


def levels(evidence: Evidence) -> Iterator[Finding]:
    """What a pickle asks for beyond tensors; a file that is damaged anyway is not judged twice."""
    for file, pickle in evidence.checkpoint.pickles:
        rule = _LEVEL_RULES.get(pickle.level)
        if rule is None or (pickle.level == "not_verified" and file.fatal is not None):
            continue
        yield finding(
            rule,
            [printable(reason) for reason in pickle.reasons[:8]],
            title=f"{printable(file.name)}: {printable(pickle.reasons[0], 120)}" if pickle.reasons else "",
            file=file.name,
        )


_UNPICKLED = frozenset({"deepspeed", "megatron"})
"""Layouts whose loaders say themselves what a pickle may name: DeepSpeed loads with `weights_only=False`
(`torch_checkpoint_engine.py`, commit 11dd843), Megatron-LM adds its own names (`core/safe_globals.py`, 11c6fed)."""


def _counts(checkpoint: Checkpoint, file: FileReport) -> bool:
    """Whether the verdict's loader reads this file, and with the names that torch allows by itself."""
    if checkpoint.layout is not None and checkpoint.layout.name in _UNPICKLED:
        return False
    return file in checkpoint.weight_files and not is_side_file(file.name)


def code_needed(evidence: Evidence) -> Iterator[Finding]:
    """Classes and functions that loading would import, by what is wrong with them."""
    checkpoint = evidence.checkpoint
    for file, pickle in checkpoint.pickles:
        if file.fatal is not None or pickle.level in ("dangerous",) or not _counts(checkpoint, file):
            continue
        if file.format == "torchscript":
            continue
        if pickle.weights_only_error is None and pickle.level == "tensors_only":
            continue
        yield from _needs(evidence, file, pickle)


def _needs(evidence: Evidence, file: FileReport, pickle: PickleReport) -> Iterator[Finding]:
    names = pickle.unlisted
    main = [name for name in names if name.startswith("__main__.")]
    states = evidence.importable or {}
    missing = {name: states[name] for name in names if states.get(name, "").startswith("module missing")}
    renamed = [name for name in names if states.get(name) == "name missing" and not name.startswith("__main__.")]
    says = _refusal(pickle) if evidence.checkpoint.kind != "pickle" else []
    file_name = printable(file.name)
    if main:
        cls = main[0].rpartition(".")[2]
        yield finding(
            "pickle-main-attr",
            [
                f"{file_name} names {listing(main)}",
                *says,
                f"with weights_only=False: AttributeError: Can't get attribute {cls!r}",
            ],
            title=f"{file_name} needs class {printable(cls)} from the script that saved it",
            file=file.name,
            fix=(
                f"from YOUR_SCRIPT import {printable(cls)}; import __main__; "
                f"__main__.{printable(cls)} = {printable(cls)}",
            ),
        )
    elif missing:
        yield _module_missing(file, missing, says)
    elif renamed:
        rebuilds = all(name.startswith("torch._utils._rebuild_") for name in renamed)
        yield finding(
            "pickle-torch-rebuild" if rebuilds else "pickle-attr-version",
            [f"{file_name} names {listing(renamed)}, which the installed module lacks", *says],
            file=file.name,
        )
    elif (path := _foreign_path(pickle, evidence.python)) and evidence.checkpoint.kind != "lightning":
        yield finding(
            "pickle-posixpath",
            [f"{file_name} names {path}", *says],
            title=f"{file_name} holds a {path}",
            file=file.name,
        )
    elif pickle.weights_only_error is not None and evidence.checkpoint.kind != "pickle":
        yield finding(
            "pickle-weights-only",
            [f"{file_name} holds {listing(names, 5) or 'objects that are no tensors'}", *says],
            file=file.name,
            fix=(_weights_only_fix(names),),
        )


def _foreign_path(pickle: PickleReport, python: str) -> str:
    """A path class that this system or this Python cannot make, else empty."""
    other = "pathlib.PosixPath" if sys.platform == "win32" else "pathlib.WindowsPath"
    moved = "pathlib._local."  # where Python 3.13 pickles the classes from
    old = tuple(int(part) for part in python.split(".")[:2] if part.isdecimal()) < (3, 13) if python else False
    for name in pickle.globals:
        if name in (other, moved + other.rpartition(".")[2]) or (old and name.startswith(moved)):
            return name
    return ""


def _refusal(pickle: PickleReport) -> list[str]:
    if pickle.weights_only_error is None:
        return []
    kind, message = pickle.weights_only_error
    lines = [line for line in message.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "Weights only load failed."
    return [f"torch.load(weights_only=True) says: {kind}: {printable(last, 220)}"]


def _module_missing(file: FileReport, missing: dict[str, str], says: list[str]) -> Finding:
    name, state = next(iter(missing.items()))
    module = state.removeprefix("module missing: ")
    place = f"/path/to/the/repository/with/{printable(module.partition('.')[0])}"
    moved = module.startswith(("transformers.", "pytorch_transformers", "pytorch_pretrained_bert"))
    return finding(
        "pickle-library-refactor" if moved else "pickle-module-missing",
        [
            f"{printable(file.name)} names {listing(list(missing))}",
            f"{printable(module)} cannot be imported in this environment",
            *says,
            f"with weights_only=False: ModuleNotFoundError: No module named {printable(module.partition('.')[0])!r}",
        ],
        title=f"{printable(file.name)} needs module {printable(name.rpartition('.')[0])}, which is not here",
        file=file.name,
        fix=(f"PYTHONPATH={shell(place)} python your_script.py",),
    )


def _weights_only_fix(names: tuple[str, ...]) -> str:
    if not names:
        return "save it again with torch.save(model.state_dict(), path) and its default protocol"
    shown = ", ".join(printable(name) for name in names[:4])
    return f"if you trust the file: torch.serialization.add_safe_globals([{shown}]) before torch.load"


def torchscript(evidence: Evidence) -> Iterator[Finding]:
    """An archive that holds a program, given where a state dict is expected."""
    if evidence.checkpoint.kind == "torchscript":
        return
    for file in evidence.checkpoint.weight_files:
        if file.format == "torchscript":
            yield finding(
                "pickle-torchscript-mixup", [f"{printable(file.name)} holds constants.pkl and code/"], file=file.name
            )


def training(evidence: Evidence) -> Iterator[Finding]:
    """A training checkpoint given where a state dict is wanted."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind not in ("torch", "lightning"):
        return
    for file, pickle in checkpoint.pickles:
        inner = [item for item in pickle.containers if not item[0].startswith("optim")]
        if not inner or any(tensor.role == "" for tensor in file.tensors):
            continue
        key, count = inner[0]
        lines = [
            f"{printable(file.name)} holds {listing(pickle.top_keys, 6)}",
            f"{count:,} tensors under {printable(key)!r}",
        ]
        optimizer = sum(tensor.nbytes for tensor in file.tensors if tensor.role == "optimizer")
        if optimizer:
            lines.append(f"{optimizer:,} bytes are optimizer state")
        yield finding(
            "training-checkpoint",
            lines,
            file=file.name,
            fix=(f"model.load_state_dict(torch.load({file.name!r}, map_location='cpu')[{key!r}])",),
        )


def devices(evidence: Evidence) -> Iterator[Finding]:
    """Tensors that name a CUDA device, in a file that torch.load reads by itself."""
    checkpoint = evidence.checkpoint
    if checkpoint.kind not in ("torch", "lightning"):
        return
    found = sorted({tensor.device for tensor in checkpoint.tensors if tensor.device.startswith("cuda")})
    if found:
        yield finding("pickle-cuda-device", [f"saved from {listing(found)}"], file=checkpoint.weight_files[0].name)
