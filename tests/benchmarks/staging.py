"""Stage a simulated cohort with the majority, the linear baseline and the graph network.

The cohort is SIMULATED (brainnet.simulate.cohort): what is compared is the models on planted
damage, not how well anything stages patients. With ``--shuffle`` the stages are shuffled first,
and every score has to fall to chance. Run it alone on a quiet machine, in one thread::

    OMP_NUM_THREADS=1 python tests/benchmarks/staging.py [--subjects 200] [--splits 5] [--shuffle]

The last line is JSON: the score table, the paired differences from the linear baseline, seconds
per estimator, and whether the graph network beats the linear baseline (interval above 0).
"""

import argparse
import json
import platform
import time
from importlib.metadata import version

import numpy as np
import torch

from brainnet.evaluate import compare, cross_validate_stages
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.linear import edge_logistic, majority
from brainnet.simulate.cohort import simulate_cohort


class Timed:
    """Adds up the seconds an estimator takes; scikit-learn's words, handed on."""

    spent: dict[str, float] = {}  # noqa: RUF012  (clones share it)

    def __init__(self, name, estimator):
        self.name, self.estimator = name, estimator

    def __sklearn_clone__(self):
        from sklearn.base import clone

        return Timed(self.name, clone(self.estimator))

    def fit(self, networks, stages):
        return self._time(self.estimator.fit, networks, stages) and self

    def predict_proba(self, networks):
        return self._time(self.estimator.predict_proba, networks)

    @property
    def classes_(self):
        return self.estimator.classes_

    def _time(self, function, *arguments):
        start = time.perf_counter()
        result = function(*arguments)
        self.spent[self.name] = self.spent.get(self.name, 0) + time.perf_counter() - start
        return result


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shuffle", action="store_true", help="shuffle the stages: chance level")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cohort = simulate_cohort(options.subjects, seed=options.seed)
    if options.shuffle:
        mixed = np.random.default_rng(options.seed).permutation(cohort["stage"].values)
        cohort = cohort.assign_coords(stage=("subject", mixed))
    models = {
        "majority": majority(),
        "linear": edge_logistic(seed=options.seed),
        "graph": GraphClassifier(seed=options.seed),
    }
    result = cross_validate_stages(
        cohort,
        {name: Timed(name, each) for name, each in models.items()},
        n_splits=options.splits,
        n_repeats=options.repeats,
        seed=options.seed,
    )
    differences = compare(result, baseline="linear", seed=options.seed)
    print(f"simulated cohort: {dict(cohort['edges'].sizes)}, stages {', '.join(result.stages)}")
    for title, table in (("scores", result.table), ("minus linear", differences)):
        shown = table.assign(
            score=[
                f"{row.estimate:6.3f} [{row.low:6.3f}, {row.high:6.3f}]"
                for row in table.itertuples()
            ]
        )
        print(f"\n{title} (95 % interval over subjects)")
        print(shown.pivot(index="metric", columns="estimator", values="score").to_string())
    gain = differences.set_index(["estimator", "metric"]).loc[("graph", "balanced_accuracy")]
    summary = {
        "simulated": True,
        "subjects": options.subjects,
        "splits": options.splits,
        "repeats": options.repeats,
        "shuffled": options.shuffle,
        "scores": result.table.round(4).to_dict("records"),
        "minus_linear": differences.round(4).to_dict("records"),
        "graph_beats_linear": bool(gain["low"] > 0),
        "seconds": {name: round(value, 1) for name, value in Timed.spent.items()},
        "torch": version("torch"),
        "python": platform.python_version(),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
