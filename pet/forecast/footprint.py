"""What a run takes of the machine: memory at its peak, and room on disk."""

import sys
from pathlib import Path

IDLE_BYTES = 600_000_000
"""What this process holds while others work: Python with its libraries, the rows, no model."""


def peak_memory(workers: int = 1) -> int | None:
    """Return the most bytes of memory that were held, or None where the system does not tell.

    It is that of this process, or of several `workers` that have ended, each taken to have held as much as the largest;
    what all have in common, the code of the libraries, counts once.
    """
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if workers > 1:
        own = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - _mapped_kilobytes()
        most = max(most, IDLE_BYTES // 1024 + workers * own)
    return most if sys.platform == "darwin" else 1024 * most  # bytes there, kilobytes elsewhere


def _mapped_kilobytes() -> int:
    """Return how much of this process's memory are files that are mapped into it; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(next((line.split()[1] for line in status.splitlines() if line.startswith("RssFile:")), 0))


def disk_use(root: Path) -> int:
    """Return the bytes of all files below a folder, of those with two names once."""
    found = (path.stat() for path in root.rglob("*") if path.is_file())
    return sum({(file.st_dev, file.st_ino): file.st_size for file in found}.values())


def footprint(root: Path, workers: int = 1) -> str:
    """Say what this process, its `workers` and the folder of its run take.

    >>> footprint(Path("/nowhere")).endswith("0.0 MB on disk")
    True
    """
    memory = peak_memory(workers)
    held = "" if memory is None else f"{memory / 1e9:.1f} GB of memory at the peak, "
    return f"{held}{disk_use(root) / 1e6:.1f} MB on disk"
