"""The README's picture: `python -m tests.builders.screenshot` exports it from the app."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tui.triage.options import Options
from tui.triage.session import Session
from tui.ui.app import CkptriageApp
from tui.ui.screens.explorer import Explorer
from tui.ui.widgets.tree import CheckpointTree

TARGET = Path(__file__).parent.parent.parent / ".readme" / "explorer.svg"


async def picture() -> str:
    """The explorer on the gallery, the changed labels compared and loaded."""
    app = CkptriageApp(Session(["sample_models"], Options()))
    async with app.run_test(size=(124, 40)) as pilot:
        while not (isinstance(app.screen, Explorer) and app.screen.session.triages):
            await pilot.pause(0.1)
        explorer = app.screen
        while explorer.session.pending or explorer.scanning:
            await pilot.pause(0.1)
        explorer.query_one(CheckpointTree).go_to("sample_models/bert-ner-labels")
        await pilot.press("3")
        await pilot.press("r")
        while "as predicted" not in " ".join(line.text for line in explorer.log_lines):
            await pilot.pause(0.1)
        await pilot.press("3")
        await pilot.pause(0.3)
        return app.export_screenshot(title="ckptriage sample_models")


if __name__ == "__main__":
    os.chdir(TARGET.parent.parent)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(asyncio.run(picture()), "utf-8")
