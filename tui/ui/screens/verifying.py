"""Reading every byte of a checkpoint, and the values of one tensor: both in threads that escape ends."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from textual import work

from tui.core.deep.report import total_bytes
from tui.core.diagnosis import deep
from tui.core.pace import Pace, Stopped
from tui.core.statistics import Statistics, figures, statistics
from tui.core.text import bytes_size, count_of
from tui.loading.attempt import LogLine
from tui.ui.render.lines import line, span
from tui.ui.screens.base import Base
from tui.ui.screens.dialogs import Read

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.core.deep.report import DeepReport

PACE_SECONDS = 1.0


class Verifying(Base):
    """The deeds that read weights."""

    reading_words: str = ""
    """What the status line says of a reading that goes on."""

    _verification: Worker[None] | None = None

    def show_status(self) -> None:
        """Repaint the status line."""
        raise NotImplementedError

    def action_verify(self) -> None:
        """Read every byte of the selected checkpoint; pressed again it says how far it is."""
        if self.triage is None:
            self.note_toast("pick a checkpoint first")
        elif self.is_verifying:
            self.note_toast(f"{self.reading_words or 'reading every byte'}; escape stops")
        else:
            self._verification = self._verify(self.triage.checkpoint.path)

    @property
    def is_verifying(self) -> bool:
        """Whether bytes are being read."""
        return self._verification is not None and self._verification.is_running

    def stop_verifying(self) -> bool:
        """End the reading; whether there was one."""
        if self._verification is None or not self._verification.is_running:
            return False
        self._verification.cancel()
        return True

    @work(exclusive=True, group="verify", exit_on_error=False)
    async def _verify(self, path: str) -> None:
        pace = Pace(total_bytes(self.session.triages[path].checkpoint))
        self.add_log(LogLine(0.0, "note", f"{path}: reading every byte ({bytes_size(pace.total)}); escape stops"))

        def tell() -> None:
            self.reading_words = f"{pace.words()}; escape stops"
            self.show_status()

        timer = self.set_interval(PACE_SECONDS, tell)
        try:
            report = await self.session.verify(path, pace)
            self._told(path, report, pace)
        except asyncio.CancelledError:
            words = f"stopped after {bytes_size(pace.done)}; the same key goes on from there"
            self.add_log(LogLine(0.0, "note", words))
            raise
        finally:
            timer.stop()
            self.reading_words = ""
            self.show_status()

    def _told(self, path: str, report: DeepReport, pace: Pace) -> None:
        """The end of a reading, in the log; what it found stands among the findings."""
        if pace.skipped:
            self.add_log(LogLine(0.0, "note", f"{bytes_size(pace.skipped)} were read by an earlier run"))
        for file in report.files:
            match = {True: f"as {file.known.source} says" if file.known else "", False: "NOT the known checksum"}
            words = file.problem or f"sha256 {file.sha256} {match.get(file.matches, '')}"  # type: ignore[arg-type]
            self.add_log(LogLine(0.0, "note", f"{file.name}: {words}"))
        found = deep.findings(report, self.session.triages[path].checkpoint)
        for item in found:
            self.add_log(LogLine(0.0, "note", f"{item.severity}: {item.title}"))
        unread = sum(bool(file.problem) for file in report.files)
        words = f"not every byte could be read: {count_of(unread, 'file')}" if unread else "every byte read"
        told = f"{count_of(len(found), 'finding')}, see there" if found else "nothing odd"
        self.add_log(LogLine(0.0, "end", f"{words}: {told}" if found or not unread else words))
        self.refresh_all()

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def show_statistics(self, name: str) -> None:
        """Figures and a histogram of one tensor."""
        triage = self.triage
        if triage is None:
            return
        stop = threading.Event()
        try:
            found = await asyncio.to_thread(statistics, triage.checkpoint, name, stop.is_set)
        except Stopped:
            return
        except asyncio.CancelledError:
            stop.set()
            raise
        shown = found or Statistics(name, why="is the state of a training run, not looked at")
        rows = [line(span(f"{title:<12}", "dim"), span(value)) for title, value in figures(shown)]
        await self.app.push_screen_wait(Read(name, rows))
