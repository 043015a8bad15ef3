"""Downloads that go on while the tree is open: once a second suspected files are measured, and nothing else is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import work

from tui.core.text import bytes_size
from tui.ui.screens.base import Base
from tui.ui.widgets.tree import CheckpointTree

if TYPE_CHECKING:
    from tui.triage.downloads import Growth


def growth_words(growth: Growth) -> str:
    """`61 %  12.0 MiB/s`, or the bytes so far where the end is not known."""
    done = f"{growth.percent} %" if growth.percent is not None else bytes_size(growth.bytes)
    return f"{done}  {bytes_size(growth.rate)}/s"


class Downloading(Base):
    """Keeps the rows of growing files, and reads them again when they rest."""

    def look_at_downloads(self) -> None:
        """Measure, where anything is suspected; a row is repainted only where its words change."""
        if len(self.session.downloads):
            self._look_at_downloads()

    @work(exclusive=True, group="downloads", exit_on_error=False)
    async def _look_at_downloads(self) -> None:
        changes = await asyncio.to_thread(self.session.downloads.look)
        for change in changes:
            if change.growth is not None:
                self.query_one(CheckpointTree).grow(change.path, growth_words(change.growth))
                continue
            triage = await asyncio.to_thread(self.session.read_again, change.path)
            self._read_again(change.path, triage.checkpoint.path if triage is not None else None)
        if changes and any(change.path == self.path for change in changes):
            self.refresh_all()

    def _read_again(self, path: str, now: str | None) -> None:
        """The row of a checkpoint that rests, under the name that it has now."""
        tree = self.query_one(CheckpointTree)
        tree.grow(path, "")
        if now != path:
            tree.drop(path)
        if now is not None:
            tree.put(self.session.triages[now], now in self.session.pending)
            if self.path == path:
                self.path = now
                self.call_after_refresh(tree.go_to, now)  # once the tree has left the row that is gone
        elif self.path == path:
            self.path = None
        self.judge_all()
