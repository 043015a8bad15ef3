"""Panes of the explorer, each with its own messages."""

from __future__ import annotations
