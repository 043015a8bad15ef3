"""Every byte of the weights read once: checksums, CRCs, values; what an interrupted run has read is not read again."""

from __future__ import annotations
