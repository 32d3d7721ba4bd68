"""Memory that a server has freed goes back to the system at once."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of glibc's mallopt(3)."""

LARGE_BLOCK = 2**20
"""Bytes from which on a block of memory is one of its own."""


def give_back_freed_memory() -> None:
    """Has the C library give each large block back when it is freed; does nothing where it is not glibc.

    By itself glibc raises that size to 32 MB as blocks are freed, and keeps smaller ones per thread: after a few large
    images on several threads a server held 200 MB that nobody used.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(_MMAP_THRESHOLD, LARGE_BLOCK)
