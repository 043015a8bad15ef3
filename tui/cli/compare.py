"""`ckptriage compare`: config against weights, as the loader sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui.cli.common import class_option, json_option, one_checkpoint, python_option, set_option, write_json, write_text
from tui.cli.crash import run_async
from tui.core.compare import Comparison, from_files
from tui.core.comparison_words import explained, to_json
from tui.core.config_edits import config_text, parse_setting
from tui.core.text import printable, shape_text
from tui.errors import UsageError, WorkerError
from tui.loading.worker import Worker
from tui.triage.ask import Asker
from tui.triage.own import checked, compare_own

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint


_PROBLEMS = 4
"""Broken files that are named above the comparison."""


@click.command("compare")
@click.argument("path")
@class_option
@set_option
@click.option("--code", metavar="DIR", help="Where a class of your own lies; with --class package.module:Name.")
@click.option(
    "--save-config",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the edited config, or the one recovered from the weights, to a new file.",
)
@python_option
@json_option
def command(
    path: str,
    model_class: str | None,
    settings: tuple[str, ...],
    code: str | None,
    save_config: Path | None,
    python: str | None,
    as_json: bool,
) -> int:
    """Config against weights, as the loader sees it.

    A class of your own (--class package.module:Name --code DIR) is imported and built in a confined child.

    Exit: 0 all match, 1 differences or the loader would raise, 2 bad usage.
    """
    checkpoint = one_checkpoint(path)
    changes = dict(parse_setting(text) for text in settings)
    checked(model_class, code)
    if model_class is not None and code is not None:
        comparison = run_async(compare_own(checkpoint, model_class, code, python))
    else:
        comparison = run_async(_ask(checkpoint, model_class, changes, python))
    if save_config is not None:
        _save(comparison, save_config)
    if as_json:
        write_json(to_json(comparison, checkpoint.path))
    else:
        write_text(to_text(comparison, checkpoint))
    differs = comparison.missing or comparison.unexpected or comparison.mismatched
    return 0 if comparison.loads and not differs else 1


def _save(comparison: Comparison, target: Path) -> None:
    """Write the config that the comparison was made under; never over a file that is there."""
    config = comparison.edited or (comparison.drafts[0].config if comparison.drafts else None)
    if config is None:
        raise UsageError("there is no edited or recovered config to save", "edit with --set KEY=VALUE")
    try:
        with target.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(config_text(config))
    except FileExistsError:
        raise UsageError(f"{target} is there already", "choose another name") from None
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}") from None
    click.echo(f"written: {printable(str(target))}", err=True)


async def _ask(
    checkpoint: Checkpoint, model_class: str | None, changes: dict[str, Any], python: str | None
) -> Comparison:
    worker = Worker(python, readable=[str(checkpoint.root.absolute())])
    try:
        return await Asker(worker).compare(checkpoint, model_class, changes)
    except WorkerError as error:
        return from_files(checkpoint, error.message)
    finally:
        await worker.close()


def to_text(comparison: Comparison, checkpoint: Checkpoint) -> str:
    """The comparison for reading: the answer, what the files are broken by, the fields, the differences folded."""
    lines = [f"{printable(checkpoint.path, 240)}  {comparison.model_class or 'no class'}  ({comparison.source})"]
    broken = [problem for problem in checkpoint.all_problems() if problem.fatal]
    lines += [
        f"  {printable(problem.file, 120) + ' ' if problem.file else ''}{printable(problem.message, 600)}"
        for problem in broken[:_PROBLEMS]
    ]
    lines += [f"  and {len(broken) - _PROBLEMS:,} more problems in its files"] if len(broken) > _PROBLEMS else []
    if comparison.error is not None:
        kind, message = comparison.error
        first, *more = message.strip().splitlines() or [""]
        lines.append(f"  {printable(kind)}: {printable(first, 800)}")
        lines += [f"    {printable(words.strip(), 800)}" for words in more[:20]]
    elif comparison.loads:
        lines.append("  loads")
    lines += [f"  {words}" for words in explained(comparison)]
    lines += _counted(comparison)
    if comparison.drafted is not None and comparison.drafts:
        lines.append(f"  config recovered from the weights: {comparison.drafts[0].words()}")
        lines += [f"  {item}" for item in _counted(comparison.drafted)]
    better = [item for item in comparison.candidates if isinstance(item.get("matched"), float)][:5]
    if better:
        lines.append(
            "  classes that fit: " + ", ".join(f"{item['class']} {item['matched'] * 100:.0f} %" for item in better)
        )
    return "\n".join(lines) + "\n"


def _counted(comparison: Comparison) -> list[str]:
    """How many keys match, and the differences folded; nothing where no comparison was made."""
    if comparison.stage == "not tried":
        return []
    lines = [
        f"  {comparison.matched:,} match, {len(comparison.missing):,} missing, "
        f"{len(comparison.unexpected):,} unexpected, {len(comparison.mismatched):,} mismatched"
    ]
    for group in comparison.differences:
        row = group.first
        times = f" × {group.count}" if group.count > 1 else ""
        held = "–" if row.status == "missing" else shape_text(row.checkpoint)
        wanted = "–" if row.status == "unexpected" else shape_text(row.model)
        lines.append(f"    {row.status:<10} {printable(group.name, 160)}{times}  file {held}  model {wanted}")
    return lines
