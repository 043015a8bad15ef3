"""Screens of the explorer: they compose widgets and route messages."""

from __future__ import annotations
