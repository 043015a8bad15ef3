"""Python environments on this machine, found and described without starting any of them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tui.core.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = ("torch", "transformers", "accelerate", "safetensors", "tensorflow", "peft")
"""Packages that the list of environments names."""

_INFO = re.compile(r"^(?P<name>.+?)-(?P<version>[^-]+)\.(dist-info|egg-info)$")


class Environment(Record, frozen=True):
    """One interpreter and the packages it has."""

    executable: str
    python: str
    """Version as `3.11`, empty where unknown."""

    packages: dict[str, str]
    source: str
    """Where it was found: `this program`, `VIRTUAL_ENV`, `pyenv`, …"""


def find() -> list[Environment]:
    """Environments by interpreter, the app's own first, each once."""
    seen: dict[str, Environment] = {}
    for source, executable in _candidates():
        try:
            key = os.path.abspath(executable)
            usable = os.access(key, os.X_OK)
        except (OSError, ValueError):
            continue
        if usable and key not in seen and not _same_prefix(key, seen):
            seen[key] = describe(key, source)
    return list(seen.values())


def _same_prefix(key: str, seen: dict[str, Environment]) -> bool:
    """`python3` and `python3.11` of one directory are one environment."""
    return any(os.path.dirname(known) == os.path.dirname(key) for known in seen)


def _candidates() -> Iterator[tuple[str, str]]:
    yield "this program", sys.executable
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        prefix = os.environ.get(variable)
        if prefix:
            yield variable, os.path.join(prefix, "bin", "python")
    for name in (".venv", "venv", "env"):
        yield "current directory", os.path.join(os.getcwd(), name, "bin", "python")
    home = Path.home()
    for source, pattern in (
        ("pyenv", ".pyenv/versions/*/bin/python"),
        ("conda", "*conda*/envs/*/bin/python"),
        ("conda", ".conda/envs/*/bin/python"),
        ("conda", "*conda*/bin/python"),
        ("home", "envs/*/bin/python"),
        ("home", ".virtualenvs/*/bin/python"),
        ("home", "venvs/*/bin/python"),
    ):
        yield from ((source, str(path)) for path in sorted(home.glob(pattern)))
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        yield "PATH", os.path.join(directory, "python3")


def describe(executable: str, source: str = "") -> Environment:
    """An interpreter's version and packages, read from its directories."""
    prefix = Path(executable).parent.parent
    python, packages = "", {}
    for place in _site_packages(prefix):
        python = python or place.parent.name.removeprefix("python")
        packages.update(_packages(place))
    return Environment(executable, python, packages, source)


def _site_packages(prefix: Path) -> list[Path]:
    found = sorted(prefix.glob("lib/python3.*/site-packages"))
    return found + sorted(prefix.glob("lib/python3*/dist-packages"))


def _packages(place: Path) -> dict[str, str]:
    """Distributions by name, normalised, from the names of their metadata directories."""
    out: dict[str, str] = {}
    try:
        entries = os.listdir(place)
    except OSError:
        return out
    for entry in entries:
        match = _INFO.match(entry)
        if match:
            out[match["name"].lower().replace("_", "-")] = match["version"]
    return out
