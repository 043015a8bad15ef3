"""Whether a pickle's names can be imported in this environment, found out without importing anything."""

from __future__ import annotations

import ast
import os
import sys
from importlib.machinery import PathFinder
from typing import Any

_MAX_SOURCE = 4 << 20


def look_up(names: list[str]) -> dict[str, str]:
    """For each `module.name`: `found`, `module missing: X`, `name missing` or `unknown`."""
    return {name: _one(name) for name in names[:2000]}


def _one(full: str) -> str:
    module, _, name = full.rpartition(".")
    if module == "__main__":
        return "name missing"
    if module.partition(".")[0] in sys.builtin_module_names:
        return "found"
    origin, missing = _locate(module)
    if missing:
        return f"module missing: {missing}"
    defined = _names(origin)
    if defined is None:
        return "unknown"
    return "found" if name in defined else "name missing"


def _locate(module: str) -> Any:
    """(source file or None, name of the first package that is absent or empty)."""
    path: list[str] | None = None
    walked: list[str] = []
    origin: str | None = None
    for part in module.split("."):
        walked.append(part)
        try:
            spec = PathFinder.find_spec(".".join(walked) if path is None else part, path)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            return None, ".".join(walked)
        origin = spec.origin
        path = list(spec.submodule_search_locations) if spec.submodule_search_locations else []
    return origin, ""


def _names(origin: str | None) -> set[str] | None:
    """Names that a module's source binds at its top level; `None` where the source does not tell."""
    if not origin or not origin.endswith(".py") or os.path.getsize(origin) > _MAX_SOURCE:
        return None
    try:
        with open(origin, encoding="utf-8", errors="replace") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
            if any(alias.name == "*" for alias in node.names):
                return None
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return None if "__getattr__" in found or "globals" in found else found
