"""`ckptriage diff`: two checkpoints side by side."""

from __future__ import annotations

import click

from tui.cli.common import json_option, one_checkpoint, write_json, write_text
from tui.core.difference import Difference, difference, to_json
from tui.core.text import printable, shape_text


@click.command("diff")
@click.argument("first")
@click.argument("second")
@json_option
def command(first: str, second: str, as_json: bool) -> int:
    """Two checkpoints: config, tensors (dtype and shape), tokenizer. Exit: 0 same, 1 differ, 2 bad usage."""
    found = difference(one_checkpoint(first), one_checkpoint(second))
    if as_json:
        write_json(to_json(found, first, second))
    else:
        write_text(to_text(found))
    return 1 if found.any else 0


def to_text(found: Difference) -> str:
    """The differences for reading."""
    lines = [f"{found.same:,} tensors are of the same name, dtype and shape; values are not compared"]
    lines += [f"  config {printable(key)}: {_value(pair[0])} → {_value(pair[1])}" for key, pair in found.config.items()]
    lines += [f"  tokenizer {key}: {_value(pair[0])} → {_value(pair[1])}" for key, pair in found.tokenizer.items()]
    lines += [f"  - {printable(name)}" for name in found.only_first]
    lines += [f"  + {printable(name)}" for name in found.only_second]
    for name, (here, there) in found.changed.items():
        lines.append(f"  ≠ {printable(name)}: {here[0]} {shape_text(here[1])} → {there[0]} {shape_text(there[1])}")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return printable(str(value), 120)
