"""Probes of this machine: memory, GPUs, disk, Python environments."""

from __future__ import annotations
