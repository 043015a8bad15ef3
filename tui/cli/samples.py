"""`ckptriage samples`: the gallery of broken checkpoints, to try and to show."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from tui.errors import UsageError
from tui.triage.samples import gallery, make_large


@click.command("samples")
@click.argument("directory", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@click.option("--large", is_flag=True, help="Also make one sparse checkpoint that is larger than RAM and swap.")
def command(directory: Path | None, large: bool) -> int:
    """Copy the gallery of broken checkpoints out; into ./sample_models unless DIR is given."""
    target = directory or Path("sample_models")
    source = gallery()
    if source is None:
        raise UsageError(
            "the gallery is not in this installation", "install ckptriage from its wheel or its repository"
        )
    if target.exists() and any(target.iterdir()) if target.is_dir() else target.exists():
        raise UsageError(f"{target} is there already and not empty", "name a directory that does not exist")
    shutil.copytree(source, target, dirs_exist_ok=True)
    count = sum(1 for entry in target.iterdir() if entry.is_dir())
    click.echo(f"{count} samples in {target}: ckptriage {target}")
    if large:
        made = make_large(target / "too-large")
        click.echo(f"and {made}")
    return 0
