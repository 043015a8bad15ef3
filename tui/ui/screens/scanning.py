"""Filling the tree: headers are read in a thread, then the loader is asked about one checkpoint after the other."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from textual import on, work
from textual.worker import Worker, WorkerState

from tui.errors import CkptriageError
from tui.ui.screens.base import Base
from tui.ui.widgets.tree import CheckpointTree

if TYPE_CHECKING:
    from tui.core.report.model import Triage

FOLDER_SECONDS = 1.0
"""How often the list of a directory is made anew while its checkpoints are judged."""


class Scanning(Base):
    """Knows what is found and what is still to be asked."""

    def prepare_scan(self) -> None:
        """Nothing is found yet."""
        self.scanning = "scanning …"
        self._stop = threading.Event()

    def begin_to_scan(self) -> None:
        """Read the headers below the paths."""
        self._scan()

    def on_unmount(self) -> None:
        """Stop the scan."""
        self._stop.set()

    @work(thread=True, exclusive=True, group="scan", exit_on_error=False)
    def _scan(self) -> None:
        """Read headers in a thread; rows arrive in batches."""
        batch: list[Triage] = []
        try:
            for triage in self.session.scan(self._stop):
                batch.append(triage)
                if len(batch) >= 25:
                    self.app.call_from_thread(self._found, batch)
                    batch = []
            self.app.call_from_thread(self._found, batch)
            self.app.call_from_thread(self._scanned)
        except RuntimeError:  # the app has ended while the thread was reading
            return

    def _found(self, batch: list[Triage]) -> None:
        tree = self.query_one("#tree", CheckpointTree)
        with self.app.batch_update():
            for triage in batch:
                tree.name_revision(triage.checkpoint.path, self.session.refs(triage.checkpoint.path))
                tree.put(triage, triage.checkpoint.path in self.session.pending)
        self.scanning = f"scanning … {len(self.session.triages):,} found"
        self.tell_status()

    def _scanned(self) -> None:
        count = len(self.session.triages)
        self.scanning = "" if count else "no checkpoint below this path"
        self.tell_status()
        if not count:
            self.refresh_all()
        self.judge_all()

    def judge_all(self) -> None:
        """Ask the loader about everything that is still to be asked."""
        self._judge()

    @work(exclusive=True, group="judge", exit_on_error=False)
    async def _judge(self) -> None:
        """One after the other, what is selected first."""
        if not self.session.pending:
            return
        listed = time.monotonic()
        while self.session.pending:
            path = self.path if self.path in self.session.pending else next(iter(self.session.pending))
            self.scanning = f"asking the loader: {len(self.session.pending):,} to go"
            self.tell_status()
            try:
                triage = await self.session.judge(path)
            except CkptriageError as error:
                self.session.pending.discard(path)
                self.tell_error(error)
                continue
            self.query_one("#tree", CheckpointTree).put(triage, False)
            if path == self.path:
                self.refresh_all()
            elif self.folder is not None and time.monotonic() - listed > FOLDER_SECONDS:
                self.refresh_all()
                listed = time.monotonic()
        self.scanning = ""
        self.refresh_all()

    @on(Worker.StateChanged)
    def _worker_failed(self, event: Worker.StateChanged) -> None:
        """A deed that failed says so instead of ending the app."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            self.note_toast(f"{event.worker.name} failed: {type(error).__name__}: {error}", "error")
