"""Tests: fuzz."""

from __future__ import annotations
