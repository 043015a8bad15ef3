"""A repository of the hub cache, as rows below the overview of one of its revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.text import bytes_size, count_of, listing, printable
from tui.system.cache_tree import blob_words
from tui.ui.render.lines import BLANK, Line, line, span

if TYPE_CHECKING:
    from tui.system.cache_tree import Repository

_MOST = 200


def rows(found: Repository, commit: str) -> list[Line]:
    """Its size, revisions with their refs, what is half fetched or of no use, and its blobs, the largest first."""
    out = [
        BLANK,
        line(
            span(f"hub cache: {found.kind} {found.name}", "head"), span(f"  {bytes_size(found.bytes)} on disk", "dim")
        ),
    ]
    for revision in found.revisions:
        named = f" ({', '.join(revision.refs)})" if revision.refs else ""
        size = f"{count_of(revision.files, 'file')}, {bytes_size(revision.bytes)}"
        here = "▸ " if revision.commit == commit else "  "
        out.append(line(span(f"{here}{revision.commit[:12]}…{named}"), span(f"  {size}", "dim"), copy=revision.commit))
        if revision.dangling:
            out.append(line(span(f"    blobs are gone: {listing(revision.dangling, 4)}", "bad")))
    if found.lost_refs:
        out.append(line(span(f"  refs to revisions that are gone: {listing(found.lost_refs)}", "warn")))
    if found.unused_bytes:
        out.append(line(span(f"  {bytes_size(found.unused_bytes)} of no use to any revision", "warn")))
    out.append(line(span(f"  {count_of(len(found.stored), 'blob')}", "dim")))
    for blob in found.stored[:_MOST]:
        style = "warn" if not blob.revisions else "plain"
        out.append(line(span(f"  {blob_words(blob)}", style), copy=printable(blob.name, None)))
    if len(found.stored) > _MOST:
        out.append(line(span(f"  … and {len(found.stored) - _MOST:,} smaller ones", "dim")))
    return out
