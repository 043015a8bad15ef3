"""Causes, named: evidence in, findings out. One module per family of causes, an explicit tuple of rules."""

from __future__ import annotations
