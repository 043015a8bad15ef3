"""What each rule stands on: the checkpoint that has the failure, the one that only looks so, the real loader's words.

`proofs.json` is written by `python -m tests.catalogue`, which builds every case and runs the loaders; the tests hold
the rules to the same cases.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec


class Proof(msgspec.Struct, frozen=True, omit_defaults=True):
    """The evidence for one rule; empty where there is none of that kind."""

    case: str = ""
    """A checkpoint on which the rule speaks."""

    look_alike: str = ""
    """One on which it is silent."""

    says: str = ""
    """The first line of what the real loader says of the case; empty where it loads without a word."""

    loader: str = ""
    """Whose words these are; `recorded` where they are of a version or machine that the tests do not have."""

    samples: tuple[str, ...] = ()
    """Directories of the gallery that have the failure."""


class Proofs(msgspec.Struct, frozen=True):
    """The whole table."""

    versions: dict[str, str]
    """Libraries whose words were recorded."""

    rules: dict[str, Proof]


PATH = Path(__file__).with_name("proofs.json")
_NONE = Proof()


@cache
def proofs() -> Proofs:
    """The table that comes with the program."""
    return msgspec.json.decode(PATH.read_bytes(), type=Proofs)


def proof_of(rule: str) -> Proof:
    """The proof of one rule, empty where none is recorded."""
    return proofs().rules.get(rule, _NONE)


def proof_lines(rule: str) -> tuple[tuple[str, str], ...]:
    """(label, text) for the help and for `explain`."""
    proof = proof_of(rule)
    quoted = f"{proof.says}  ({proof.loader})" if proof.says else ""
    rows = (
        ("sample", ", ".join(proof.samples)), ("seen on", proof.case), ("not on", proof.look_alike), ("says", quoted),
    )  # fmt: skip
    return tuple((label, text) for label, text in rows if text)
