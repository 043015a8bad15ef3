"""`python -m tests.catalogue`: build every case, run the real loaders, and write the table of proofs."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path

import msgspec

from tests.catalogue import real
from tests.catalogue.table import CASES, table
from tui.core.diagnosis.proofs import PATH, Proofs

_LONGEST = 240


def heard(place: Path) -> dict[str, str]:
    """The first line of each loader's message."""
    out: dict[str, str] = {}
    for case in CASES:
        if case.loader == "recorded":
            continue
        root = place / case.rule / case.names[0]
        root.mkdir(parents=True)
        case.built(root)
        _, words = real.outcome(case, root)
        line = next((line for line in words.splitlines() if case.says in line), "") if case.says else ""
        out[case.rule] = line.replace(str(root), "PATH").strip()[:_LONGEST]
    return out


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as place:
        rules = table(heard(Path(place)))
    versions = {
        name: version(name).partition("+")[0] for name in ("torch", "transformers", "safetensors", "tokenizers")
    }
    PATH.write_bytes(msgspec.json.format(msgspec.json.encode(Proofs(versions, rules)), indent=1) + b"\n")


if __name__ == "__main__":
    main()
