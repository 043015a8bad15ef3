"""Pure functions from core data to text for the screen."""

from __future__ import annotations
