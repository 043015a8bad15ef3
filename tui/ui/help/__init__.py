"""Texts of the in-app help."""

from __future__ import annotations
