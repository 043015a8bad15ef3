"""The explorer: composes its panes and routes their messages; the flow is in `triage`, the text in `render`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input, Tree

from tui.core.text import count_of, printable
from tui.ui.render import answer as answer_text
from tui.ui.render import compare as compare_text
from tui.ui.render import details, meter
from tui.ui.render import lfs as lfs_text
from tui.ui.render import repository as repository_text
from tui.ui.render.lines import Line, line, span
from tui.ui.screens.deeds import Deeds
from tui.ui.screens.downloading import growth_words
from tui.ui.screens.scanning import Scanning
from tui.ui.widgets.line_view import LineView
from tui.ui.widgets.panes import PANES, VIEWS, PaneBar, StatusLine
from tui.ui.widgets.tree import CheckpointTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.events import Key

    from tui.core.report.model import Triage
    from tui.triage.session import Session


MACHINE_SECONDS = 1.0


class Explorer(Deeds, Scanning):
    """One window on everything below the paths."""

    AUTO_FOCUS = "#tree"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "load", "Load", tooltip="Run a real load attempt"),
        Binding("o", "load_with", "Load with", show=False, tooltip="Another loader, or a call of your own"),
        Binding("c", "choose_class", "Class", tooltip="Choose the model class"),
        Binding("e", "edit", "Edit", tooltip="Edit a config value"),
        Binding("f", "apply_field", "Fix field", show=False),
        Binding("u", "undo", "Undo", show=False),
        Binding("s", "save_config", "Save config", show=False),
        Binding("slash", "filter", "Filter", tooltip="Filter rows by a part of a name"),
        Binding("n", "next_difference", "Next diff"),
        Binding("d", "diff", "Diff", show=False),
        Binding("a", "verify", "All bytes", show=False),
        Binding("p", "pick_python", "Env", tooltip="Pick the Python environment"),
        Binding("x", "export", "Export", show=False),
        Binding("y", "copy", "Copy", show=False),
        Binding("z", "maximise", "Zoom", show=False),
        Binding("plus,equals_sign", "context(2)", "More tokens", show=False),
        Binding("minus", "context(-2)", "Fewer tokens", show=False),
        Binding("b", "batch", "Batch", show=False),
        Binding("t", "dtype", "Dtype", show=False),
        Binding("v", "device", "Device", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("escape", "cancel", "Cancel", show=False),
        Binding("q", "app.quit", "Quit", show=False),
        *(Binding(str(number), f"pane('{pane}')", name, show=False) for number, (pane, name) in enumerate(PANES, 1)),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.path: str | None = None
        self.folder: str | None = None
        self.pane = "overview"
        self.shown_pane = "tree"
        self.opened: frozenset[str] = frozenset()
        self.pattern = ""
        self.note = ""
        self.prepare_deeds()
        self.prepare_scan()
        self._foldings: dict[int, compare_text.Folding] = {}

    # layout

    def compose(self) -> ComposeResult:
        """Bar, tree and meter on the left, answer and views on the right, log below."""
        yield PaneBar(id="bar")
        with Horizontal(id="upper"):
            with Vertical(id="left"):
                yield CheckpointTree(id="tree")
                yield LineView(id="memory", name_of_pane="Memory")
            with Vertical(id="right"):
                yield LineView(id="answer")
                for view in VIEWS:
                    yield LineView(id=view)
                yield Input(id="filter", placeholder="part of a name; escape clears")
        yield LineView(id="log", name_of_pane="Load attempt", follow=True)
        yield StatusLine(id="status")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to scan and to warm the worker up; the first frame waits for neither."""
        self.query_one("#answer", LineView).can_focus = False
        self.query_one("#tree", CheckpointTree).set_roots(self.session.paths)
        self.query_one("#filter", Input).display = False
        for name in ("tree", "overview", "compare", "tensors", "config", "tokenizer", "findings"):
            self.query_one(f"#{name}").border_title = dict(PANES)[name]
        self.show_pane("tree")
        self.refresh_all()
        self.call_after_refresh(self.begin_to_scan)
        self.set_interval(MACHINE_SECONDS, self.look_at_machine)
        self.set_interval(MACHINE_SECONDS, self.look_at_downloads)

    def on_resize(self) -> None:
        """Panes change with the width; the tree shows symbols only where there is no room."""
        self.query_one("#tree", CheckpointTree).set_compact(self.size.width < 70)
        self.show_pane(self.shown_pane, focus=False)
        self.refresh_all()

    # showing

    @property
    def triage(self) -> Triage | None:
        """The selected checkpoint."""
        return self.session.triages.get(self.path) if self.path is not None else None

    @on(Tree.NodeHighlighted)
    def _show_node(self, event: Tree.NodeHighlighted[str]) -> None:
        data = event.node.data
        if data is None or data in (self.path, self.folder):
            return
        known = data in self.session.triages
        self.path, self.folder = (data, None) if known else (None, data)
        if known:
            self.opened = frozenset()
            self.note = ""
            self.tokenizer_answer = None
        self.refresh_all(top=True)
        self.compare_foreign()

    @on(Tree.NodeSelected)
    def _open_node(self, event: Tree.NodeSelected[str]) -> None:
        data = event.node.data
        if data is not None and data in self.session.triages:
            self.show_pane("overview" if self.pane not in VIEWS else self.pane)
        else:
            event.node.toggle()

    def refresh_all(self, top: bool = False) -> None:
        """Everything that depends on the selection."""
        if not self.is_mounted:
            return
        with self.app.batch_update():
            self.query_one("#answer", LineView).show(self._answer)
            self.refresh_view(top)
            self.query_one("#memory", LineView).show(self._memory)
            self.show_log()
        self.refresh_meter()
        self._mark()
        self.tell_status()

    def refresh_view(self, top: bool = False) -> None:
        """Only the view that is shown."""
        view = self.query_one(f"#{self.pane if self.pane in VIEWS else 'overview'}", LineView)
        view.show(partial(self._view, view.id or ""), top=top)

    def _answer(self, width: int) -> list[Line]:
        if self.folder is not None:
            return answer_text.folder(self.folder, self.session.below(self.folder), width)
        growth = self.session.downloads.growing(self.path) if self.path is not None else None
        if growth is not None:
            return answer_text.growing(growth.bytes, growth_words(growth))
        return answer_text.answer(self.triage, width, self.path in self.session.pending)

    def _view(self, name: str, width: int) -> Sequence[Line]:
        triage = self.triage
        if triage is None and self.folder is not None:
            found = self.session.below(self.folder)
            pending = sum(item.checkpoint.path in self.session.pending for item in found)
            return answer_text.below(self.folder, found, width, pending)
        if triage is None:
            return [line(span(self.scanning or "pick a checkpoint in the tree (1)", "dim"))]
        checkpoint, edit = triage.checkpoint, self.session.edit(triage.checkpoint.path)
        match name:
            case "compare":
                why = "asking the loader …" if self.path in self.session.pending else self._why_not(triage)
                return compare_text.rows(
                    self._folding(), width, self.opened, self.pattern, edit.mapping, self.note, why
                )
            case "tensors":
                return details.tensors(checkpoint, width, self.pattern)
            case "config":
                shown = self.session.comparison(checkpoint.path)
                return details.config(
                    checkpoint, edit.mapping, width, self.pattern, shown, self.session.draft(checkpoint.path)
                )
            case "tokenizer":
                return details.tokenizer(checkpoint, self.tokenizer_answer, self.tokenizer_asking, width)
            case "findings":
                return answer_text.findings(triage, width, self.path in self.session.pending)
            case _:
                return answer_text.overview(triage, width) + self._repository(triage) + self._clone(triage, width)

    def _clone(self, triage: Triage, width: int) -> list[Line]:
        """The git-lfs clone that a checkpoint lies in."""
        found = self.session.clones.get(triage.checkpoint.path)
        return lfs_text.rows(found, width) if found is not None else []

    def _repository(self, triage: Triage) -> list[Line]:
        """The repository of the hub cache that a revision belongs to."""
        found = self.session.repositories.get(triage.checkpoint.path)
        return repository_text.rows(found, triage.checkpoint.root.name) if found is not None else []

    def _why_not(self, triage: Triage) -> str:
        if self.session.is_foreign(triage.checkpoint.path):
            return "asking the loader what it would make of these weights once they are converted …"
        if triage.checkpoint.kind != "transformers":
            return f"a {triage.checkpoint.kind} file names no model class; c chooses one for directories with a config"
        return "the loader was not asked about this checkpoint"

    def _folding(self) -> compare_text.Folding | None:
        comparison = self.session.comparison(self.path or "")
        if comparison is None:
            return None
        folding = self._foldings.get(id(comparison))
        if folding is None or folding.comparison is not comparison:
            draft = self.session.draft(self.path or "")
            self._foldings = {id(comparison): compare_text.folded(comparison, draft)}
            folding = self._foldings[id(comparison)]
        return folding

    def _memory(self, width: int) -> list[Line]:
        triage = self.triage
        if triage is None or self.path is None:
            return meter.meter(None, None, width)
        return meter.meter(self.session.metered(self.path), self.session.machine, width, self.measured.get(self.path))

    def show_meter(self) -> None:
        """Repaint the Memory pane where it says something else than it shows."""
        if self.is_mounted:
            self.query_one("#memory", LineView).show_changed(self._memory)

    def show_log(self) -> None:
        """Repaint the log."""
        self.query_one("#log", LineView).show(
            lambda width: (
                self.log_lines or [line(span("r runs a real load attempt; its log and its end stand here", "dim"))]
            )
        )

    def _mark(self) -> None:
        triage = self.triage
        badges = {"findings": str(len(triage.findings))} if triage is not None and triage.findings else {}
        self.query_one("#bar", PaneBar).mark(self.shown_pane, badges)

    def show_status(self) -> None:
        """Repaint the status line."""
        if self.is_mounted:
            self.tell_status()

    def tell_status(self) -> None:
        """The status line: what goes on, and who is asked."""
        info = self.session.environment()
        named = [f"{name} {info.packages[name]}" for name in ("torch", "transformers") if name in info.packages]
        waited = self.scanning or self.session.pending
        silent = "starting the environment …" if waited else "no environment was asked"
        words = " · ".join([f"python {info.python}", *named]) if info.python else silent
        if info.available is False:
            words += f" · {info.reason}"
        left = (
            self.attempt_words
            or self.reading_words
            or self.scanning
            or count_of(len(self.session.triages), "checkpoint")
        )
        self.query_one("#status", StatusLine).tell(printable(left), printable(words))

    # panes

    def action_pane(self, pane: str) -> None:
        """Go to a pane by its number."""
        self.show_pane(pane)

    @on(PaneBar.Picked)
    def _pick_pane(self, event: PaneBar.Picked) -> None:
        self.show_pane(event.pane)

    def show_pane(self, pane: str, focus: bool = True) -> None:
        """Bring a pane to the front: alone where the screen is narrow, in its place where it is wide."""
        if pane in VIEWS:
            self.pane = pane
        self.shown_pane = pane
        wide = self.size.width >= 120
        for view in VIEWS:
            self.query_one(f"#{view}").display = view == self.pane
        self.query_one("#left").display = wide or pane in ("tree", "memory")
        self.query_one("#right").display = wide or pane in VIEWS or pane in ("tree", "memory", "log")
        self.set_class(not wide and pane in VIEWS, "only-view")
        self.set_class(not wide and pane in ("tree", "memory"), "only-left")
        self.set_class(not wide and pane == "log", "only-log")
        self.query_one("#tree").display = wide or pane == "tree"
        self.query_one("#memory").display = wide or pane == "memory"
        self.query_one("#log").display = wide or pane == "log"
        if focus:
            self.query_one(f"#{pane}").focus()
        self.refresh_view()
        self._mark()
        self.compare_foreign()

    def action_maximise(self) -> None:
        """The focused pane alone, and back."""
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)

    # filter

    def action_filter(self) -> None:
        """Show the filter's input."""
        if self.shown_pane not in ("compare", "tensors", "config"):
            self.show_pane("compare" if self.session.comparison(self.path or "") else "tensors")
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self.pattern = event.value
        self.refresh_view(top=True)

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.query_one(f"#{self.pane}").focus()

    def clear_filter(self) -> bool:
        """Take the filter away; whether there was one."""
        box = self.query_one("#filter", Input)
        if not box.display and not self.pattern:
            return False
        box.value = ""
        box.display = False
        self.pattern = ""
        self.query_one(f"#{self.pane}").focus()
        self.refresh_view()
        return True

    def action_next_difference(self) -> None:
        """The next row that differs."""
        if self.shown_pane != "compare":
            self.show_pane("compare")
        view = self.query_one("#compare", LineView)
        if not view.next_where(lambda item: item.text.startswith(("≠", "−", "+"))):
            self.note_toast("no difference here")

    @on(LineView.Opened)
    def _open_row(self, event: LineView.Opened) -> None:
        match event.view.id:
            case "compare" if event.target == compare_text.TIES:
                self.compare_ties()
            case "compare":
                self.opened = self.opened ^ {str(event.target)}
                self.refresh_view()
            case _ if self.folder is not None:
                self.query_one("#tree", CheckpointTree).go_to(str(event.target))
            case "config":
                self.edit_value(str(event.target))
            case "tokenizer":
                self.ask_tokenizer()
            case "tensors":
                self.show_statistics(str(event.target))
            case _:
                return

    def on_key(self, event: Key) -> None:
        """Escape leaves the filter also while its input has the focus."""
        if event.key == "escape" and self.focused is not None and self.focused.id == "filter":
            event.stop()
            self.clear_filter()
