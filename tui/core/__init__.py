"""What a checkpoint is: readers, comparison, estimate, diagnosis, report. No Textual, no torch, no side effects."""

from __future__ import annotations
