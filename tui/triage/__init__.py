"""The flow that the command line and the explorer share: scan, read, ask the worker, diagnose, report."""

from __future__ import annotations
