"""The gallery's own table, as the tests hold the program to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.conftest import SAMPLES

_ROW = re.compile(r"^\|\s*`(?P<name>[\w.-]+)`\s*\|(?P<rest>.*)\|\s*$")


@dataclass(frozen=True)
class Sample:
    """One row of sample_models/README.md."""

    name: str
    says: str
    verdict: str
    rules: tuple[str, ...]


def gallery() -> list[Sample]:
    """Every row of the table."""
    rows: list[Sample] = []
    for line in (SAMPLES / "README.md").read_text("utf-8").splitlines():
        match = _ROW.match(line)
        if match:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", match["rest"])]
            rules = tuple(re.findall(r"`([\w-]+)`", cells[3]))
            rows.append(Sample(match["name"], cells[1], cells[2], rules))
    return rows
