"""Tests: snapshots."""

from __future__ import annotations
