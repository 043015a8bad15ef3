"""Tests: system."""

from __future__ import annotations
