"""Tests: hostile."""

from __future__ import annotations
