"""What a user does with a comparison: choose a class, edit values, take edits back, save the config elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import work

from tui.core import tensor_bytes
from tui.core.config_edits import config_text, parse_setting, parse_value
from tui.core.json_text import dumps
from tui.core.text import count_of, printable, shell
from tui.errors import CkptriageError
from tui.loading.attempt import LogLine
from tui.triage.own import checked, is_own
from tui.ui.render.compare import changed
from tui.ui.screens.base import Base
from tui.ui.screens.dialogs import AskText, Choose

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tui.core.compare import Comparison

_DEBOUNCE = 0.05
_IDLE = 0.6


class Comparing(Base):
    """The deeds of the Compare and Config views."""

    @work(exclusive=True, group="compare", exit_on_error=False)
    async def compare_again(self) -> None:
        """The comparison under the edits: the live answer first, the audit when nothing more is typed.

        A newer edit cancels this one, and with it what the worker was asked.
        """
        path = self.path
        if path is None:
            return
        before = self.session.comparison(path)
        await asyncio.sleep(_DEBOUNCE)
        try:
            after = await self.session.compare_edited(path, "live")
            self._compared(path, before, after)
            if is_own(after.model_class) or after.path == "audit":
                return
            await asyncio.sleep(_IDLE)
            audited = await self.session.compare_edited(path, "audit")
            self._compared(path, before, audited)
        except CkptriageError as error:
            self.tell_error(error)

    def compare_foreign(self) -> None:
        """Compare weights of TensorFlow or Keras once their comparison is looked at; no verdict waits for it."""
        if self.pane == "compare" and self.path is not None and self.session.is_foreign(self.path):
            self._compare_foreign(self.path)

    @work(exclusive=True, group="compare", exit_on_error=False)
    async def _compare_foreign(self, path: str) -> None:
        await asyncio.sleep(_DEBOUNCE)
        try:
            after = await self.session.compare_foreign(path)
        except CkptriageError as error:
            self.tell_error(error)
            return
        self._compared(path, None, after)

    def _compared(self, path: str, before: Comparison | None, after: Comparison) -> None:
        for words in after.disagreement:
            self.add_log(LogLine(0, "note", f"{path}: live answer and public loader differ, the loader's is shown"))
            self.add_log(LogLine(0, "note", f"  {words}"))
            self.add_log(LogLine(0, "note", f"  again: {self._reproduction(path)}"))
        if path == self.path:
            self.note = changed(before, after)
            self.refresh_view()

    def _reproduction(self, path: str) -> str:
        """The command that gives the same comparison again."""
        edit = self.session.edit(path)
        parts = ["ckptriage", "compare", path, "--json", "--python", self.session.environment().executable]
        if edit.model_class:
            parts += ["--class", edit.model_class]
        for key, value in edit.mapping.items():
            parts += ["--set", f"{key}={dumps(value, indent=None)}"]
        return shell(*parts)

    # class

    def action_choose_class(self) -> None:
        """Pick from the classes that this checkpoint could be."""
        if self.triage is None:
            self.note_toast("pick a checkpoint first")
            return
        self._choose_class()

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def _choose_class(self) -> None:
        triage = self.triage
        if triage is None:
            return
        known = [dict(item) for item in triage.comparison.candidates] if triage.comparison is not None else []
        words = [_candidate_words(item) for item in known]
        more = ["another class of transformers by name …", "a class of your own: package.module:Name …"]
        index = await self.app.push_screen_wait(Choose("Load as which class?", [*words, *more]))
        if index is None:
            return
        name, code = "", None
        if index < len(known):
            name = str(known[index]["class"])
        elif index == len(known):
            name = await self._ask("Class of transformers", triage.model_class or "")
        else:
            name, code = await self._ask_own()
        if name:
            path = triage.checkpoint.path
            self.session.push(path, self.session.edit(path).with_class(name, code))
            self.show_pane("compare")
            self.compare_again()

    async def _ask_own(self) -> tuple[str, str | None]:
        """A class of the user's own and where it lies; its code runs in the confined child, which is said here."""
        name = await self._ask("Your class or factory: package.module:Name", "")
        if not name:
            return "", None
        title = f"Directory of its code; {name} is imported and run in the confined child"
        code = str(Path(await self._ask(title, str(Path.cwd())) or "/nowhere").expanduser())
        try:
            checked(name, code)
        except CkptriageError as error:
            self.tell_error(error)
            return "", None
        return name, code

    async def _ask(self, title: str, value: str) -> str:
        answer = await self.app.push_screen_wait(AskText(title, value))
        return (answer or "").strip()

    # edits

    def action_edit(self) -> None:
        """Edit a config value: the one under the cursor, else one from the usual ones."""
        if self.triage is None:
            return
        row = getattr(self.query_one("#config"), "current", None) if self.shown_pane == "config" else None
        if row is not None and row.target is not None:
            self.edit_value(str(row.target))
        else:
            self._pick_value()

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def _pick_value(self) -> None:
        """The values that are edited most, then any by its key."""
        if self.path is None:
            return
        usual = self.session.usual(self.path)
        words = [f"{label}: {key} is {dumps(value, indent=None)}" for label, key, value in usual]
        index = await self.app.push_screen_wait(Choose("Edit which value?", [*words, "class …", "any: key=value …"]))
        if index is None:
            return
        if index < len(usual):
            self.edit_value(usual[index][1])
        elif index == len(usual):
            self._choose_class()
        else:
            self._edit("Edit a config value: key=value", "")

    def edit_value(self, key: str) -> None:
        """Edit one value of the config."""
        if self.path is None:
            return
        value: Any = self.session.config(self.path)
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if key == "num_labels" and value is None:
            labels = self.session.config(self.path).get("id2label")
            value = len(labels) if isinstance(labels, dict) else None
        self._edit(f"{key} = ? (JSON; nothing is written to your file)", dumps(value, indent=None), key)

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def _edit(self, title: str, value: str, key: str = "") -> None:
        answer = await self.app.push_screen_wait(AskText(title, value, preview=self._preview(key)))
        if answer is None or self.path is None:
            return
        try:
            name, new = (key, parse_value(answer)) if key else parse_setting(answer)
        except CkptriageError as error:
            self.tell_error(error)
            return
        self.set_value(name, new)

    def _preview(self, key: str) -> Callable[[str], Awaitable[str]]:
        """What the comparison would say, while the value is typed."""

        async def say(text: str) -> str:
            path = self.path
            if path is None:
                return ""
            try:
                name, new = (key, parse_value(text)) if key else parse_setting(text)
                answer = await self.session.preview(path, self.session.edit(path).with_change(name, new))
            except CkptriageError as error:
                return error.message
            if answer.error is not None and answer.stage not in ("done", "weights"):
                return f"{answer.error[0]}: {answer.error[1].splitlines()[0] if answer.error[1] else ''}"
            notes = f"  ({'; '.join(answer.edit_notes)})" if answer.edit_notes else ""
            return (
                f"{answer.matched:,} match, {len(answer.missing):,} missing, {len(answer.unexpected):,} unexpected, "
                f"{len(answer.mismatched):,} mismatched{notes}"
            )

        return say

    def set_value(self, key: str, value: Any) -> None:
        """Apply an edit and compare again."""
        if self.path is None:
            return
        self.session.push(self.path, self.session.edit(self.path).with_change(key, value))
        if self.pane != "config":
            self.show_pane("compare")
        self.refresh_view()
        self.compare_again()

    def action_apply_field(self) -> None:
        """Set the first config field that explains the differences."""
        comparison = self.session.comparison(self.path or "")
        if comparison is None or not comparison.fields:
            self.note_toast("no config field explains these differences")
            return
        item = comparison.fields[0]
        self.set_value(item.field, item.weights)

    def action_undo(self) -> None:
        """Take the last edit back."""
        if self.path is None or not self.session.undo(self.path):
            self.note_toast("nothing to undo")
            return
        self.note = "the last edit was taken back"
        self.refresh_view()
        if self.session.edits.get(self.path):
            self.compare_again()

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def action_save_config(self) -> None:
        """Write the edited or recovered config elsewhere, never over the user's file."""
        config = self.session.config_to_save(self.path) if self.path is not None else None
        if config is None:
            self.note_toast("no edit to save")
            return
        answer = await self._ask("Save the config as", str(Path.home() / "config.edited.json"))
        if not answer:
            return
        target = Path(answer).expanduser()
        if target.exists():
            self.note_toast(f"{target} is there already; choose another name", "error")
            return
        self.write_file(target, config_text(config))

    def write_file(self, target: Path, text: str) -> None:
        """Write a file that the user named, and say so."""
        try:
            target.write_text(text, "utf-8", "backslashreplace")
        except OSError as error:
            self.note_toast(f"cannot write {target}: {error.strerror or error}", "error")
            return
        self.note_toast(f"written to {target}")

    # ties

    @work(exclusive=True, group="ties", exit_on_error=False)
    async def compare_ties(self) -> None:
        """Whether tied tensors that are both in the file hold the same bytes."""
        path = self.path
        comparison = self.session.comparison(path or "")
        if path is None or comparison is None or not comparison.ties_unknown:
            return
        checkpoint = self.session.triages[path].checkpoint
        sources = {row.key: row.sources[0] for row in comparison.rows if row.sources}
        equal = unequal = 0
        for target, source in comparison.ties_unknown:
            names = (sources.get(target, target), sources.get(source, source))
            same = await asyncio.to_thread(tensor_bytes.equal, checkpoint, *names)
            equal += same is True
            unequal += same is False
        unknown = len(comparison.ties_unknown) - equal - unequal
        words = [f"{count_of(equal, 'pair')} equal", f"{unequal} unequal", f"{unknown} not comparable"]
        meaning = ": the loader ties them" if equal and not unequal else ""
        meaning = ": the loader keeps both and does not tie them" if unequal else meaning
        if path == self.path:
            self.note = printable(f"bytes of tied tensors: {', '.join(words)}{meaning}")
            self.refresh_view()


def _candidate_words(item: dict[str, Any]) -> str:
    """A class with how much of the file it takes."""
    share = item.get("matched")
    if not isinstance(share, float | int):
        return f"{item.get('class')}  (cannot be built here)"
    counts = [f"{item[key]} {key}" for key in ("missing", "mismatched") if key in item]
    return f"{item['class']}  {share * 100:.0f} % of the file{''.join(f', {words}' for words in counts)}"
