"""Real weights that small packages ship: fetched as wheels, unpacked, never installed or imported."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

RXNMAPPER = ("rxnmapper", "0.4.3")
LPIPS = ("lpips", "0.1.4")
PESTO = ("pesto-pitch", "2.0.1")


def unpacked(package: tuple[str, str], place: Path) -> Path:
    """The unpacked wheel of a package; skips the test where the index cannot be reached."""
    name, version = package
    target = place / f"{name}-{version}"
    if target.exists():
        return target
    wheels = place / "wheels"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(wheels)]
    done = subprocess.run([*command, f"{name}=={version}"], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        pytest.skip(f"{name} cannot be fetched here: {done.stderr.strip()[-200:]}")
    [wheel] = [path for path in wheels.iterdir() if path.name.startswith(name.replace("-", "_"))]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def directory_of(root: Path, file: str) -> Path:
    """The directory below `root` that holds `file`."""
    return next(root.rglob(file)).parent
