"""Sweep a whole cohort and say how long it took and how much memory.

Modular weighted networks of ``--n-regions`` regions, made one at a time from a seed, as a generator
hands them over; all standard measures at the default densities; optionally nulls. All processors
unless ``OMP_NUM_THREADS`` says otherwise. No other library has this in one call, so there is no
peer::

    python tests/benchmarks/sweep.py [--n-subjects 1000] [--n-regions 400] [--n-nulls 0]

The last line is JSON; the exit status is 1 if the peak is above ``--most-gb``.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator

import numpy as np

from brainnet.metrics import _compile
from brainnet.metrics.sweep import DENSITIES, Nulls, sweep


def networks(n_subjects: int, n_regions: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield correlations of series that share one of seven module signals."""
    for subject in range(n_subjects):
        rng = np.random.default_rng(subject)
        shared = rng.standard_normal((200, 7))[:, np.arange(n_regions) % 7]
        weights = np.corrcoef((shared + rng.standard_normal((200, n_regions))).T)
        weights = np.triu(weights, 1)
        yield f"{subject:04d}", weights + weights.T


def peak_gb() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> int:
    """Run the sweep and print what it took; return 1 if it took too much memory."""
    parser = argparse.ArgumentParser(description="time and memory of a sweep of a cohort")
    parser.add_argument("--n-subjects", type=int, default=1000)
    parser.add_argument("--n-regions", type=int, default=400)
    parser.add_argument("--n-nulls", type=int, default=0)
    parser.add_argument("--most-gb", type=float, default=4.0)
    options = parser.parse_args()
    nulls = Nulls(options.n_nulls) if options.n_nulls else None
    sweep(networks(2, 20), nulls=nulls)  # compiles
    before, start = peak_gb(), time.perf_counter()
    table = sweep(networks(options.n_subjects, options.n_regions), nulls=nulls)
    seconds = time.perf_counter() - start
    summary = {
        "bench": "sweep",
        "n_subjects": options.n_subjects,
        "n_regions": options.n_regions,
        "densities": DENSITIES,
        "n_nulls": options.n_nulls,
        "threads": _compile.n_threads(),
        "rows": len(table),
        "table_gb": round(table.memory_usage().sum() / 2**30, 3),
        "before_gb": round(before, 3),
        "peak_gb": round(peak_gb(), 3),
        "seconds": round(seconds, 1),
        "seconds_per_subject": round(seconds / options.n_subjects, 4),
    }
    print(json.dumps(summary))
    return 0 if summary["peak_gb"] <= options.most_gb else 1


if __name__ == "__main__":
    sys.exit(main())
