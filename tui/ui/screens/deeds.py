"""What a user does in the explorer: edit, choose, load, copy, export. Each is a few lines over `triage`."""

from __future__ import annotations

import asyncio
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import work

from tui.core.diagnosis import given_call
from tui.core.diagnosis import tensorflow_calls as calls
from tui.core.json_text import dumps
from tui.core.record import replace
from tui.core.report import html, markdown, plain
from tui.core.report.model import report_json
from tui.core.report.sarif import sarif
from tui.core.report.words import fix_line
from tui.core.text import middle, printable
from tui.errors import CkptriageError
from tui.loading.attempt import LoadAttempt, LoadOutcome, LogLine, MemorySample
from tui.system.environments import SHOWN, find
from tui.triage.load import LoadOptions, agreement, diagnose_after, log_text, make_attempt, refusal, refused
from tui.triage.loaders import choices, verdict_for
from tui.ui.render.details import rule_rows
from tui.ui.render.lines import Line, line, span, wrapped
from tui.ui.render.meter import Measured
from tui.ui.screens.comparing import Comparing
from tui.ui.screens.dialogs import AskText, Choose, Read
from tui.ui.screens.downloading import Downloading
from tui.ui.screens.metering import Metering
from tui.ui.screens.verifying import Verifying

if TYPE_CHECKING:
    from tui.core.checkpoint import Checkpoint
    from tui.core.report.model import Triage

MAX_LOG = 5000
LOG_SECONDS = 0.1


def _faults(checkpoint: Checkpoint, call: Any) -> list[calls.Mismatch]:
    """What is wrong with a call of the user's own."""
    way = calls.expected(checkpoint) if call is not None else None
    return calls.check_call(way, call) if way is not None else []


class Deeds(Comparing, Downloading, Metering, Verifying):
    """What the explorer can do; the explorer itself adds the panes."""

    def prepare_deeds(self) -> None:
        """State that the deeds keep."""
        self.log_lines: list[Line] = []
        self.measured = {}
        self.attempt: LoadAttempt | None = None
        self.attempt_words = ""
        self.tokenizer_answer: dict[str, Any] | None = None
        self.tokenizer_asking = False
        self._log_dirty = False

    # tokenizer

    @work(exclusive=True, group="tokenizer", exit_on_error=False)
    async def ask_tokenizer(self) -> None:
        """Ask the environment's AutoTokenizer, with a sentence to cut."""
        path = self.path
        if path is None:
            return
        text = await self.app.push_screen_wait(
            AskText("A sentence to tokenise", "Angela Merkel visited London in 2012.")
        )
        if text is None:
            return
        self.tokenizer_asking = True
        self.refresh_view()
        answer = await self.session.tokenizer(path, text)
        self.tokenizer_asking = False
        if path == self.path:
            self.tokenizer_answer = answer
            self.refresh_view()

    # load attempt

    def action_load(self) -> None:
        """Run a real load attempt on the selected checkpoint."""
        if self.triage is None:
            self.note_toast("pick a checkpoint first")
        elif self.attempt is not None:
            self.note_toast("an attempt is running; escape cancels it")
        else:
            self._load()

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def action_load_with(self) -> None:
        """Pick another loader of TensorFlow or Keras, or describe the call that follows the load."""
        triage = self.triage
        found = choices(triage.checkpoint) if triage is not None else ()
        if triage is None or not found or self.attempt is not None:
            self.note_toast("escape cancels the running attempt" if self.attempt else "r loads it; no other loader")
            return
        way = calls.expected(triage.checkpoint)
        words = [f"{name}  {meaning}" for name, meaning in found]
        index = await self.app.push_screen_wait(
            Choose("Load it with", [*words, *(["a call of your own …"] if way is not None else [])])
        )
        if index is None or index < len(found):
            if index is not None:
                self._load(found[index][0])
            return
        text = await self.app.push_screen_wait(
            AskText("The call, as dtypes and sizes", given_call.example(way), given_call.EXAMPLE, self._call_words)
        )
        if text:
            try:
                self._load(call=given_call.read(text))
            except ValueError as error:
                self.note_toast(str(error))

    async def _call_words(self, text: str) -> str:
        """What is wrong with a call, while it is typed."""
        way = calls.expected(self.triage.checkpoint) if self.triage is not None else None
        try:
            given = given_call.read(text)
        except ValueError as error:
            return str(error)
        faults = calls.check_call(way, given) if way is not None else []
        return "; ".join(f"✗ {item.words} → {item.fix}" for item in faults) or "✓ it fits what the model expects"

    @work(exclusive=True, group="load", exit_on_error=False)
    async def _load(self, loader: str | None = None, call: Any = None) -> None:
        triage = self.triage
        if triage is None:
            return
        checkpoint, edit = triage.checkpoint, self.session.edit(triage.checkpoint.path)
        options = LoadOptions(
            model_class=edit.model_class,
            code=edit.code,
            changes=edit.mapping or None,
            python=self.session.options.python,
            loader=loader,
            call=call,
        )
        self.log_lines.clear()
        if self.session.environment().isolation:
            self.add_log(LogLine(0.0, "note", f"the comparison's worker: {self.session.environment().isolation}"))
        faults = _faults(checkpoint, call)
        verdict = "fails" if faults else verdict_for(triage, loader)
        with_loader = f" with {loader}" if loader is not None else ""
        self.add_log(LogLine(0.0, "note", f"{checkpoint.path}{with_loader}: predicted {verdict}"))
        for item in faults:
            self.add_log(LogLine(0.0, "note", f"{item.words} → {item.fix}"))
        if self.size.width < 120:
            self.show_pane("log")
        reason = refusal(checkpoint, options)
        try:
            outcome = (
                refused(reason)
                if reason
                else await self._attempt(make_attempt(checkpoint, options, self.add_log, self._sample))
            )
        except CkptriageError as error:
            self.tell_error(error)
            return
        finally:
            self.attempt = None
            self.attempt_words = ""
        if reason:
            self.add_log(LogLine(0.0, "end", outcome.words))
        await self._ended(triage.checkpoint.path, outcome, verdict, options)

    async def _attempt(self, attempt: LoadAttempt) -> LoadOutcome:
        self.attempt = attempt
        self.attempted = Measured()
        if self.path is not None:
            self.measured[self.path] = self.attempted
        self.attempt_words = "load attempt running; escape cancels"
        self.refresh_all()
        timer = self.set_interval(LOG_SECONDS, self._flush_log)
        try:
            return await attempt.run()
        finally:
            timer.stop()
            self.attempted.running = False
            self._flush_log()

    async def _ended(self, path: str, outcome: LoadOutcome, verdict: str, options: LoadOptions) -> None:
        """The diagnosis, and whether it came as predicted."""
        before = self.session.triages[path]
        predicted, agrees = agreement(replace(before, verdict=verdict), outcome)
        if not options.changes:
            if agrees is not None:
                words = "as predicted ✓" if agrees else f"NOT as predicted: {predicted}"
                self.log_lines.append(line(span(f"          {words}", "good" if agrees else "bad")))
            asked = replace(self.session.options, call=options.call)
            after = await diagnose_after(before.checkpoint, before, outcome, asked, self.session.deep.get(path))
            if options.call is None:  # what is wrong with one call is no finding about the model
                self.session.triages[path] = after
            if outcome.outcome != "loaded" or verdict == before.verdict:  # else the loader goes round the cause
                self._log_findings(after)
        self.refresh_all()

    def _log_findings(self, triage: Triage) -> None:
        """The first findings with their fixes, below the end of an attempt."""
        for item in triage.findings[:4]:
            if item.severity == "info":
                continue
            self.log_lines += wrapped(item.title, self._log_width(), "bad", "          diagnosis: ", "            ")
            if item.fix:
                shown = middle(" ⏎ ".join(item.fix[0].splitlines()), self._log_width() - 15)
                self.log_lines.append(line(span("          fix: ", "key"), span(shown), copy=item.fix[0]))

    def _log_width(self) -> int:
        return max(self.query_one("#log").size.width - 3, 40)

    def add_log(self, item: LogLine) -> None:
        """One more line; the pane is repainted at most ten times a second."""
        style = {"stage": "head", "end": "key", "note": "dim", "stderr": "plain"}.get(item.stream, "plain")
        self.log_lines += wrapped(log_text(item), self._log_width(), style, "", "           ")
        if len(self.log_lines) > MAX_LOG:
            del self.log_lines[: MAX_LOG // 10]
        self._log_dirty = True
        if self.attempt is None:
            self._flush_log()

    def _sample(self, sample: MemorySample) -> None:
        self.attempted.add(sample.anonymous, sample.file_backed)

    def _flush_log(self) -> None:
        if self._log_dirty and self.is_mounted:
            self._log_dirty = False
            self.show_log()
            self.show_meter()

    def action_cancel(self) -> None:
        """Escape: the filter, else a running attempt, else a reading, else a maximised pane."""
        if self.clear_filter():
            return
        if self.attempt is not None:
            self.attempt.cancel()
        elif self.stop_verifying():
            return
        elif self.maximized is not None:
            self.minimize()

    # environment, difference, export, copy, help

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def action_pick_python(self) -> None:
        """Choose the environment that is asked and that loads."""
        found = await asyncio.to_thread(find)
        words = [
            f"{item.executable}  {item.python or '?'}  "
            + (" · ".join(f"{name} {item.packages[name]}" for name in SHOWN if name in item.packages) or "no torch")
            for item in found
        ]
        index = await self.app.push_screen_wait(Choose("Which Python environment?", [*words, "another by path …"]))
        if index is None:
            return
        python = found[index].executable if index < len(found) else await self._ask_python()
        if python:
            await self.session.use_python(python)
            self.refresh_all()
            self.judge_all()

    async def _ask_python(self) -> str:
        answer = await self.app.push_screen_wait(AskText("Path of a Python interpreter"))
        return str(Path(answer).expanduser()) if answer else ""

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def action_diff(self) -> None:
        """Compare with another checkpoint of the tree."""
        triage = self.triage
        others = [path for path in self.session.triages if triage is not None and path != triage.checkpoint.path]
        if triage is None or not others:
            self.note_toast("there is no other checkpoint to compare with")
            return
        index = await self.app.push_screen_wait(Choose(f"{triage.checkpoint.path} against which?", others))
        if index is None:
            return
        from tui.ui.screens.side_by_side import SideBySide

        await self.app.push_screen_wait(SideBySide(triage.checkpoint, self.session.triages[others[index]].checkpoint))

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def action_export(self) -> None:
        """Write the report; the suffix chooses its form."""
        proposal = str(Path.home() / "ckptriage-report.html")
        answer = await self.app.push_screen_wait(
            AskText("Export the report as (.html .md .json .sarif .txt)", proposal)
        )
        if not answer:
            return
        target = Path(answer).expanduser()
        report = self.session.report()
        match target.suffix.lower():
            case ".html":
                text = html.render(report)
            case ".md":
                text = markdown.render(report)
            case ".json":
                text = dumps(report_json(report)) + "\n"
            case ".sarif":
                text = dumps(sarif(report)) + "\n"
            case _:
                text = plain.render(report)
        self.write_file(target, text)

    def action_copy(self) -> None:
        """Copy the row under the cursor, or the fix; the text is also written to a file, since terminals may refuse."""
        row = getattr(self.focused, "current", None)
        text = row.copy or row.text.strip() if row is not None else ""
        if not text and self.triage is not None:
            text = fix_line(self.triage.summary) or str(self.triage.checkpoint.path)
        if not text:
            return
        text = printable(text, None)
        self.app.copy_to_clipboard(text)
        place = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "ckptriage"
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / "copied.txt").write_text(text + "\n", "utf-8")
        except OSError:
            self.note_toast("sent to the terminal's clipboard")
            return
        self.note_toast(f"sent to the terminal's clipboard, and written to {place / 'copied.txt'}")

    def action_help(self) -> None:
        """Keys and meanings."""
        text = files("tui.ui.help").joinpath("help.md").read_text("utf-8")
        rows = [line(span(row)) for row in text.splitlines()]
        self.app.push_screen(Read("Help", [*rows, *rule_rows(max(self.size.width - 12, 40))]))
