"""Memory of this process, as Linux keeps it: ``ru_maxrss`` may be the parent's peak."""

from pathlib import Path


def forget_peak() -> None:
    """Let the peak begin anew at what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def held() -> float:
    """Return what is held now, GB (10^9 bytes)."""
    return _status("VmRSS")


def peak() -> float:
    """Return the most that was held since :func:`forget_peak`, GB (10^9 bytes)."""
    return _status("VmHWM")


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1]) / 1e9
