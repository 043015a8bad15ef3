from __future__ import annotations

from typing import TYPE_CHECKING

from tui.system import environments

if TYPE_CHECKING:
    from pathlib import Path


def test_an_environment_is_described_without_starting_it(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (site / "torch-2.13.0.dist-info").mkdir()
    (site / "Typing_Extensions-4.16.0.dist-info").mkdir()
    found = environments.describe(str(tmp_path / "bin" / "python"))
    assert (found.python, found.packages) == ("3.11", {"torch": "2.13.0", "typing-extensions": "4.16.0"})
