"""`ckptriage memory`: estimate against what is available."""

from __future__ import annotations

import click

from tui.cli.common import json_option, one_checkpoint, write_json, write_text
from tui.core.estimate import CHOICES, Available, Estimate, estimate, to_json
from tui.core.text import bytes_size, printable
from tui.triage.environment import available


@click.command("memory")
@click.argument("path")
@click.option("--dtype", type=click.Choice(CHOICES), default="auto", show_default=True)
@click.option("--context", type=click.IntRange(1, 1 << 24), default=512, show_default=True, metavar="N")
@click.option("--batch", type=click.IntRange(1, 1 << 20), default=1, show_default=True, metavar="N")
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda:N|auto")
@json_option
def command(path: str, dtype: str, context: int, batch: int, device: str, as_json: bool) -> int:
    """Estimate against available.

    Exit: 0 fits, fits_slowly or tight; 1 exceeds, refused or unknown; 2 bad usage.
    """
    checkpoint = one_checkpoint(path)
    machine = available()
    made = estimate(checkpoint, machine, dtype, context, batch, device)
    if as_json:
        write_json(to_json(made, machine, checkpoint.path))
    else:
        write_text(to_text(made, machine, checkpoint.path))
    return 0 if made.verdict in ("fits", "fits_slowly", "tight") else 1


def to_text(made: Estimate, machine: Available, path: str) -> str:
    """The estimate for reading."""
    lines = [
        f"{printable(path, 240)}  {made.verdict.replace('_', ' ')}",
        f"  weights  {bytes_size(made.weights)} as {made.dtype}",
        f"  RAM      must {bytes_size(made.load_peak)} to load, {bytes_size(made.run)} to run; "
        f"wants {bytes_size(made.wants)}",
        f"  free     {bytes_size(machine.ram)} of {bytes_size(machine.ram_total)} ({machine.ram_source})",
        f"  device   {bytes_size(made.device_total)} with cache {bytes_size(made.kv_cache)}",
    ]
    for device in machine.devices:
        lines.append(
            f"           {printable(device.name)}: free {bytes_size(device.free)} of {bytes_size(device.total)}"
        )
    if not machine.devices:
        lines.append(f"           {printable(machine.devices_reason)}")
    if made.shortfall:
        lines.append(f"  short    {bytes_size(made.shortfall)}")
    lines.extend(f"  try      {printable(text)}" for text in made.advice)
    return "\n".join(lines) + "\n"
