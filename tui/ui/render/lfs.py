"""A clone with git-lfs, as rows below the overview of a checkpoint in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.lfs_clone import commands, object_words, summary
from tui.core.text import bytes_size, printable
from tui.ui.render.lines import BLANK, Line, line, program, span, wrapped

if TYPE_CHECKING:
    from tui.core.lfs_clone import LfsClone

_MOST = 200


def rows(clone: LfsClone, width: int) -> list[Line]:
    """What it takes on the disk, what fetches the rest, and its objects, the largest first."""
    out = [BLANK, line(span("git-lfs clone", "head"), span(f"  {printable(str(clone.root))}", "dim"))]
    out += wrapped(summary(clone), width, "warn" if clone.missing else "plain", "  ", "  ")
    for command in commands(clone):
        out += program(command, width, "  fix: ", "       ")
    for name, size in clone.incomplete[:20]:
        out.append(
            line(span(f"  {bytes_size(size):>10}  {printable(name, 24)}  a download that has not ended", "warn"))
        )
    for item in clone.objects[:_MOST]:
        odd = not item.is_here or not item.files or bool(item.pointers)
        out.append(line(span(f"  {object_words(item)}", "warn" if odd else "plain"), copy=item.oid))
    if len(clone.objects) > _MOST:
        out.append(line(span(f"  … and {len(clone.objects) - _MOST:,} smaller ones", "dim")))
    return out
