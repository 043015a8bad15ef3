"""Pickles read symbolically: opcodes are walked, nothing is imported and nothing is executed."""

from __future__ import annotations
