"""`ckptriage envs`: Python environments on this machine."""

from __future__ import annotations

import click

from tui.cli.common import json_option, write_json, write_text
from tui.core.text import printable
from tui.system.environments import SHOWN, find


@click.command("envs")
@json_option
def command(as_json: bool) -> int:
    """Python environments found, their packages; none of them is started."""
    found = find()
    if as_json:
        write_json(
            {
                "schema": 1,
                "environments": [
                    {
                        "executable": item.executable,
                        "python": item.python or None,
                        "source": item.source,
                        "packages": item.packages,
                    }
                    for item in found
                ],
            }
        )
        return 0
    lines = []
    for item in found:
        shown = " · ".join(f"{name} {item.packages[name]}" for name in SHOWN if name in item.packages)
        lines.append(
            f"{printable(item.executable, 200)}  {item.python or '?'}  {shown or 'none of the packages'}  "
            f"({item.source})"
        )
    write_text("\n".join(lines) + "\n")
    return 0
