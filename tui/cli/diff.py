"""`ckptriage diff`: two checkpoints side by side."""

from __future__ import annotations

import click

from tui.cli.common import BytesLine, json_option, one_checkpoint, write_json, write_text
from tui.core.difference import Difference, Match, bytes_to_read, difference, summary, to_json
from tui.core.text import count_of, listing, printable, shape_text


@click.command("diff")
@click.argument("first")
@click.argument("second")
@click.option("--no-values", is_flag=True, help="Compare names, dtypes and shapes alone; no weight byte is read.")
@json_option
def command(first: str, second: str, no_values: bool, as_json: bool) -> int:
    """Two checkpoints, of one format or of two: config, tensors (dtype, shape, values), tokenizer.

    Exit: 0 same, 1 differ, 2 bad usage.
    """
    one, other = one_checkpoint(first), one_checkpoint(second)
    pace = BytesLine(0 if no_values else bytes_to_read(one, other))
    found = difference(one, other, values=not no_values, progress=pace.add)
    if as_json:
        write_json(to_json(found, first, second))
    else:
        write_text(to_text(found))
    return 1 if found.any else 0


def to_text(found: Difference) -> str:
    """The differences for reading."""
    lines = [summary(found)]
    lines += [f"  {note}" for note in found.notes]
    lines += [f"  config {printable(key)}: {_value(pair[0])} → {_value(pair[1])}" for key, pair in found.config.items()]
    lines += [f"  tokenizer {key}: {_value(pair[0])} → {_value(pair[1])}" for key, pair in found.tokenizer.items()]
    lines += [f"  - {printable(name)}" for name in found.only_first]
    lines += [f"  + {printable(name)}" for name in found.only_second]
    lines += [f"  ≠ {_match(match)}" for match in found.matches if match.differs]
    unknown: dict[str, list[str]] = {}
    for match in found.matches:
        if match.values is not None and match.values.equal is None and not match.is_changed:
            unknown.setdefault(printable(match.values.why, 200), []).append(printable(match.name, 80))
    for why, names in unknown.items():
        lines.append(f"  ? values of {count_of(len(names), 'tensor')} not compared ({why}): {listing(names)}")
    return "\n".join(lines) + "\n"


def _match(match: Match) -> str:
    """One tensor that differs: names, dtypes and shapes, and how far the values are apart."""
    first, second = match.pair.first, match.pair.second
    name = printable(match.name)
    if match.other != match.name:
        name += f" ~ {printable(match.other)}"
    words = []
    if match.is_changed:
        words.append(
            f"{first.tensor.dtype} {shape_text(first.shape)} → {second.tensor.dtype} {shape_text(second.shape)}"
        )
    if match.values is not None and match.values.largest is not None and not match.values.equal:
        words.append(f"largest change {match.values.largest:.6g}")
    return f"{name}: {', '.join(words)}"


def _value(value: object) -> str:
    return printable(str(value), 120)
