"""What every group of deeds needs from the explorer, and how it speaks to the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from tui.core.text import printable

if TYPE_CHECKING:
    from tui.core.report.model import Triage
    from tui.errors import CkptriageError
    from tui.loading.attempt import LogLine
    from tui.triage.session import Session


class Base(Screen[None]):
    """The explorer as its deeds see it."""

    session: Session
    path: str | None
    folder: str | None
    """The directory that is selected in place of a checkpoint."""

    pane: str
    shown_pane: str
    note: str

    @property
    def triage(self) -> Triage | None:
        """The selected checkpoint."""
        raise NotImplementedError

    def show_pane(self, pane: str, focus: bool = True) -> None:
        """Bring a pane to the front."""
        raise NotImplementedError

    def refresh_all(self, top: bool = False) -> None:
        """Repaint what depends on the selection."""
        raise NotImplementedError

    def refresh_view(self, top: bool = False) -> None:
        """Repaint the view that is shown."""
        raise NotImplementedError

    def tell_status(self) -> None:
        """Repaint the status line."""
        raise NotImplementedError

    def show_log(self) -> None:
        """Repaint the log."""
        raise NotImplementedError

    def judge_all(self) -> None:
        """Ask the loader about everything that is still to be asked."""
        raise NotImplementedError

    def clear_filter(self) -> bool:
        """Take the filter away; whether there was one."""
        raise NotImplementedError

    def add_log(self, item: LogLine) -> None:
        """One more line for the log pane."""
        raise NotImplementedError

    def run_deed(self, name: str) -> None:
        """Run an action by its name, for the command palette."""
        getattr(self, f"action_{name}")()

    def note_toast(self, words: str, severity: str = "information") -> None:
        """A short notice; its text is never markup."""
        level: Any = severity
        self.notify(printable(words, 600), severity=level, markup=False, timeout=6)

    def tell_error(self, error: CkptriageError) -> None:
        """An error of ours, with what to do."""
        self.note_toast(f"{error.message}. {error.hint}" if error.hint else error.message, "error")
