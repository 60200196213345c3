"""Resident memory of this process, as Linux counts it, in MiB."""

import ctypes
import sys
from pathlib import Path


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"error: /proc/self/status has no {key}; this benchmark needs Linux")


def resident() -> float:
    """What is held now, after the C library has given back what it had kept for later."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def peak() -> float:
    """The most that was held since the beginning, or since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """The peak begins anew from what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
