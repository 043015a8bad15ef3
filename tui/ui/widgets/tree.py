"""The tree of checkpoints, each with its verdict as symbol, word and colour."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Tree

from tui.core.report.words import SYMBOLS
from tui.core.text import middle, printable

if TYPE_CHECKING:
    from textual.widgets.tree import TreeNode

    from tui.core.report.model import Triage

_COLOURS = {"loads": "green", "degraded": "yellow", "fails": "red", "unknown": "bright_black"}


_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_REPOSITORY = re.compile(r"^(models|datasets|spaces)--(.+)$")


def repository_name(name: str) -> str:
    """`models--org--name` of the hub cache as `org/name`; any other name as it is."""
    match = _REPOSITORY.match(name)
    if match is None:
        return name
    return match[2].replace("--", "/") + ("" if match[1] == "models" else f" ({match[1].removesuffix('s')})")


class CheckpointTree(Tree[str]):
    """Nodes are directories and checkpoints; a checkpoint's data is its path."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("h", "cursor_parent", "Parent", show=False),
        Binding("l", "select_cursor", "Open", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "Bottom", show=False),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__("checkpoints", id=id)
        self.show_root = False
        self.guide_depth = 2
        self.auto_expand = False
        self._by_path: dict[str, TreeNode[str]] = {}
        self._directories: dict[str, TreeNode[str]] = {}
        self._words: dict[str, tuple[str, bool]] = {}
        self._growing: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self.compact = False
        self._roots: tuple[str, ...] = ()

    def name_revision(self, path: str, refs: tuple[str, ...]) -> None:
        """The branches and tags that point to a revision of the hub cache, shown beside its commit."""
        self._names[path] = f" ({printable(', '.join(refs), 40)})" if refs else ""

    def set_roots(self, roots: list[str]) -> None:
        """The paths as the user wrote them: each is one node, however deep it lies."""
        self._roots = tuple(root.rstrip("/") or root for root in roots)

    def put(self, triage: Triage, pending: bool) -> None:
        """Add a checkpoint, or change its verdict."""
        path = triage.checkpoint.path
        self._words[path] = (triage.verdict, pending)
        node = self._by_path.get(path)
        if node is None:
            parent = self.root if path in self._roots else self._directory(os.path.dirname(path))
            node = parent.add_leaf(self._label(path), path)
            self._by_path[path] = node
            if len(self._by_path) == 1:
                self.call_after_refresh(self.move_cursor, node)
        else:
            node.set_label(self._label(path))

    def grow(self, path: str, words: str) -> None:
        """Say of a checkpoint that it grows and how fast; empty words take that back."""
        if path in self._by_path and self._growing.get(path, "") != words:
            self._growing[path] = words
            self._by_path[path].set_label(self._label(path))

    def drop(self, path: str) -> None:
        """Take a row away: its file has another name now."""
        node = self._by_path.pop(path, None)
        if node is not None:
            node.remove()

    def _directory(self, path: str) -> TreeNode[str]:
        """The node of a directory, made with its parents where it is new."""
        if path == "" and "." in self._roots and "." not in self._by_path:
            path = "."
        if path in ("", "/"):
            return self.root
        node = self._directories.get(path)
        if node is None:
            parent, name = os.path.dirname(path), printable(os.path.basename(path), 80)
            if "--" in name:
                name = repository_name(name)
            if path in self._roots or parent == path or (not parent and "." not in self._roots):
                above, name = self.root, middle(printable(path), 34)
            else:
                above = self._directory(parent)
            node = above.add(Text(name), path, expand=True)
            self._directories[path] = node
        return node

    def _label(self, path: str) -> Text:
        verdict, pending = self._words[path]
        symbol, word = ("…", "asking") if pending else (SYMBOLS[verdict], verdict)
        colour = Style(color="bright_black" if pending else _COLOURS[verdict])
        name = self._shown(path)
        growing = self._growing.get(path, "")
        if growing:
            symbol, word, colour = "↓", "growing", Style(color="cyan")
            name = f"{name}  {growing}"
        if self.compact:
            return Text.assemble((f"{symbol} ", colour), name)
        return Text.assemble((f"{symbol} {word:<9}", colour), name)

    def _shown(self, path: str) -> str:
        """The last part of a path; a revision of the hub cache by the head of its commit and its refs."""
        name = printable(os.path.basename(path) or path, 120)
        if _COMMIT.match(name) and os.path.basename(os.path.dirname(path)) == "snapshots":
            return f"{name[:12]}…{self._names.get(path, '')}"
        return repository_name(name)

    def set_compact(self, compact: bool) -> None:
        """Symbols only, for narrow terminals."""
        if compact != self.compact:
            self.compact = compact
            for path, node in self._by_path.items():
                node.set_label(self._label(path))

    def paths(self) -> list[str]:
        """Every checkpoint, in the order in which it was found."""
        return list(self._by_path)

    def go_to(self, path: str) -> None:
        """Put the cursor on a checkpoint."""
        node = self._by_path.get(path)
        if node is not None:
            self.move_cursor(node)
