"""`ckptriage memory`: estimate against what is available."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tui.cli.common import class_option, json_option, one_checkpoint, python_option, write_json, write_text
from tui.cli.crash import run_async
from tui.core.estimate import CHOICES, Available, Estimate, estimate, to_json
from tui.core.text import bytes_size, printable
from tui.triage.memory import machine_for

if TYPE_CHECKING:
    from tui.core.estimate import Device


@click.command("memory")
@click.argument("path")
@click.option("--dtype", type=click.Choice(CHOICES), default="auto", show_default=True)
@click.option("--context", type=click.IntRange(1, 1 << 24), default=512, show_default=True, metavar="N")
@click.option("--batch", type=click.IntRange(1, 1 << 20), default=1, show_default=True, metavar="N")
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda:N|auto")
@click.option("--train", is_flag=True, help="Count gradients and AdamW's two moments.")
@class_option
@python_option
@click.option("--no-probe", is_flag=True, help="Do not measure the environment's base; assume it where not known.")
@json_option
def command(
    path: str,
    dtype: str,
    context: int,
    batch: int,
    device: str,
    train: bool,
    model_class: str | None,
    python: str | None,
    no_probe: bool,
    as_json: bool,
) -> int:
    """Estimate against available.

    Exit: 0 fits, fits_slowly or tight; 1 exceeds, refused or unknown; 2 bad usage.
    """
    checkpoint = one_checkpoint(path)
    machine = run_async(machine_for(checkpoint, python, model_class, measure=not no_probe))
    made = estimate(checkpoint, machine, dtype, context, batch, device, train)
    if as_json:
        write_json(to_json(made, machine, checkpoint.path))
    else:
        write_text(to_text(made, machine, checkpoint.path))
    return 0 if made.verdict in ("fits", "fits_slowly", "tight") else 1


def to_text(made: Estimate, machine: Available, path: str) -> str:
    """The estimate for reading."""
    asked = made.scenario
    lines = [
        f"{printable(path, 240)}  {made.verdict.replace('_', ' ')}",
        f"  asked    {asked.device}, {asked.context:,} tokens, batch {asked.batch}, {made.dtype}"
        f"{', training' if asked.training else ''}",
        f"  weights  {bytes_size(made.weights)} as {made.dtype}{f': {made.rule}' if made.rule else ''}",
        f"  RAM      must {bytes_size(made.load_peak)} to load, {bytes_size(made.run)} to run; "
        f"wants {bytes_size(made.wants)}",
        f"           between {bytes_size(made.low)} and {bytes_size(made.high)}; "
        f"{bytes_size(made.base)} of it for the interpreter and its libraries ({made.base_source})",
        f"  free     {bytes_size(machine.ram)} of {bytes_size(machine.ram_total)} ({printable(machine.ram_source)})",
        f"  run      cache {bytes_size(made.kv_cache)}, logits {bytes_size(made.logits)}, "
        f"working memory {bytes_size(made.activations)}",
        f"  device   {bytes_size(made.device_total)}, between {bytes_size(made.device_low)} and "
        f"{bytes_size(made.device_high)}",
    ]
    lines.extend(f"           {_device(device)}" for device in machine.devices)
    if not machine.devices:
        lines.append(f"           {printable(machine.devices_reason)}")
    lines.extend(
        f"  place    {part.device}: {bytes_size(part.bytes)} in {part.blocks:,} blocks" for part in made.placement
    )
    if made.shortfall:
        lines.append(f"  short    {bytes_size(made.shortfall)}")
    lines.extend(f"  unknown  {printable(text)}" for text in made.not_modelled if text not in made.advice)
    lines.extend(f"  note     {printable(text)}" for text in machine.notes)
    lines.extend(f"  try      {printable(text)}" for text in made.advice)
    return "\n".join(lines) + "\n"


def _device(device: Device) -> str:
    """One GPU in a line: what is free, what is special, and who holds the most."""
    words = f"{printable(device.name)}: free {bytes_size(device.free)} of {bytes_size(device.total)}"
    if device.note:
        words += f" ({printable(device.note)})"
    if device.holders:
        first = device.holders[0]
        words += f"; process {first.pid} {printable(first.name)} holds {bytes_size(first.bytes)}"
    return words
