"""Tests: terminal."""

from __future__ import annotations
