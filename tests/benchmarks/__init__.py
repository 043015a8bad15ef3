"""Tests: benchmarks."""

from __future__ import annotations
