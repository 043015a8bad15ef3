"""The worker's folder as the package that it is in the child."""

from __future__ import annotations

import sys

import pytest

from tui.worker.start import PACKAGE, register


@pytest.fixture(scope="session", autouse=True)
def worker_package() -> None:
    """Registered once, as `start.py` does it."""
    if PACKAGE not in sys.modules:
        register()
