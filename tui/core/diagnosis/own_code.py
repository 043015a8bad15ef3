"""Python code beside plain weights, parsed and never run: does it make what the file holds, and would it say so?"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tui.core.diagnosis.make import finding
from tui.core.text import listing, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.core.checkpoint import Checkpoint
    from tui.core.diagnosis.evidence import Evidence, Finding


def class_drift(evidence: Evidence) -> Iterator[Finding]:
    """A class in a Python file beside a plain state dict that makes other submodules than the file holds."""
    checkpoint = evidence.checkpoint
    for source, name, made, held in _drifted(checkpoint):
        yield finding(
            "state-dict-class-drift",
            [
                f"{printable(source)}: {printable(name)} makes {listing(sorted(made), 6)}",
                f"{printable(checkpoint.weight_files[0].name)} holds {listing(sorted(held), 6)}",
                f"load_state_dict would miss {listing(sorted(made - held), 4)} and not expect "
                f"{listing(sorted(held - made), 4)}",
            ],
            title=f"{printable(name)} in {printable(source)} is not the class that saved the weights",
            file=checkpoint.weight_files[0].name,
            confidence="likely",
        )


def strict_false(evidence: Evidence) -> Iterator[Finding]:
    """Code that loads with `strict=False` into a class that has drifted: nothing is said, and parts stay random."""
    checkpoint = evidence.checkpoint
    for source, name, made, held in _drifted(checkpoint):
        line = _lenient(checkpoint.sources[source])
        if line is not None:
            yield finding(
                "key-strict-false-silent",
                [
                    f"{printable(source)}, line {line}: load_state_dict(…, strict=False)",
                    f"{len(made & held)} of {len(made)} submodules of {printable(name)} are in the file; "
                    f"{listing(sorted(made - held), 4)} would stay as initialised",
                ],
                file=source,
                confidence="likely",
            )


def _drifted(checkpoint: Checkpoint) -> Iterator[tuple[str, str, set[str], set[str]]]:
    """(file, class, submodules that it makes, those that the weights hold) where the two overlap and differ."""
    sources = list(checkpoint.sources)
    if checkpoint.kind != "torch" or checkpoint.is_file or not sources or len(checkpoint.weight_files) != 1:
        return
    held = {tensor.name.partition(".")[0] for tensor in checkpoint.tensors if tensor.role == ""}
    for source in sources if held else ():
        for name, made in _submodules(checkpoint.sources[source]).items():
            if made & held and made != held and not made >= held:
                yield source, name, made, held


def _parsed(text: str) -> ast.Module:
    """The syntax tree, empty where there is none."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _lenient(text: str) -> int | None:
    """The line of a call `….load_state_dict(…, strict=False)`."""
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load_state_dict":
            for keyword in node.keywords:
                if keyword.arg == "strict" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False:
                    return node.lineno
    return None


def _submodules(text: str) -> dict[str, set[str]]:
    """Per class of a Python file, the attributes that `__init__` sets to a call (`self.out = nn.Linear(…)`)."""
    out: dict[str, set[str]] = {}
    for node in _parsed(text).body:
        if isinstance(node, ast.ClassDef):
            made = {
                target.attr
                for child in ast.walk(node)
                if isinstance(child, ast.Assign) and isinstance(child.value, ast.Call)
                for target in child.targets
                if isinstance(target, ast.Attribute)
                and isinstance(target.value, ast.Name)
                and target.value.id == "self"
            }
            if made:
                out[node.name] = made
    return out
