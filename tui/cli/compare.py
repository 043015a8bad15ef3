"""`ckptriage compare`: config against weights, as the loader sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from tui.cli.common import class_option, json_option, one_checkpoint, python_option, set_option, write_json, write_text
from tui.core.compare import Comparison, edited, from_files, parse_setting, to_json
from tui.core.diagnosis.bert_checkpoint import as_transformers
from tui.core.text import printable, shape_text
from tui.errors import WorkerError
from tui.loading.worker import Worker
from tui.triage.ask import Asker

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint


@click.command("compare")
@click.argument("path")
@class_option
@set_option
@python_option
@json_option
def command(path: str, model_class: str | None, settings: tuple[str, ...], python: str | None, as_json: bool) -> int:
    """Config against weights, as the loader sees it.

    Exit: 0 all match, 1 differences or the loader would raise, 2 bad usage.
    """
    checkpoint = as_transformers(one_checkpoint(path))
    changes = dict(parse_setting(text) for text in settings)
    comparison = asyncio.run(_ask(checkpoint, model_class, changes, python))
    if as_json:
        write_json(to_json(comparison, checkpoint.path))
    else:
        write_text(to_text(comparison, checkpoint.path))
    differs = comparison.missing or comparison.unexpected or comparison.mismatched
    return 0 if comparison.loads and not differs else 1


async def _ask(
    checkpoint: Checkpoint, model_class: str | None, changes: dict[str, Any], python: str | None
) -> Comparison:
    config = None
    if changes:
        config = edited(checkpoint.config.mapping if checkpoint.config else {}, changes)
    worker = Worker(python)
    try:
        return await Asker(worker).compare(checkpoint, model_class, config)
    except WorkerError as error:
        return from_files(checkpoint, error.message)
    finally:
        await worker.close()


def to_text(comparison: Comparison, path: str) -> str:
    """The comparison for reading: the answer, the fields, then the differences folded."""
    lines = [f"{printable(path, 240)}  {comparison.model_class or 'no class'}  ({comparison.source})"]
    if comparison.error is not None:
        lines.append(f"  {printable(comparison.error[0])}: {printable(comparison.error[1], 800)}")
    elif comparison.loads:
        lines.append("  loads")
    lines.append(
        f"  {comparison.matched:,} match, {len(comparison.missing):,} missing, "
        f"{len(comparison.unexpected):,} unexpected, "
        f"{len(comparison.mismatched):,} mismatched"
    )
    for item in comparison.fields:
        lines.append(
            f"  {item.field}: config {printable(str(item.config))}, weights {item.weights}; "
            f"with {item.field} {item.weights}, {item.keys:,} more keys match"
        )
    for group in comparison.differences:
        row = group.first
        times = f" × {group.count}" if group.count > 1 else ""
        lines.append(
            f"    {row.status:<10} {printable(group.name, 160)}{times}  file {shape_text(row.checkpoint)}  "
            f"model {shape_text(row.model)}"
        )
    if comparison.not_audited:
        lines.append(f"  not audited: {printable(comparison.not_audited)}")
    better = [item for item in comparison.candidates if isinstance(item.get("matched"), float)][:5]
    if better:
        lines.append(
            "  classes that fit: " + ", ".join(f"{item['class']} {item['matched'] * 100:.0f} %" for item in better)
        )
    return "\n".join(lines) + "\n"
