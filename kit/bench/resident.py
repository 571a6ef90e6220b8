"""The resident memory of this process, without torch: loading it would be part of what is measured."""

from pathlib import Path


def status_bytes(field: str) -> float:
    """Return a memory field of this process, VmRSS (now) or VmHWM (peak), from Linux's /proc."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return float(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
