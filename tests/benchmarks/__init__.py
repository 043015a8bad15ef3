"""Benchmarks: `python -m tests.benchmarks` prints the table, as ratios measured in one run."""

from __future__ import annotations
