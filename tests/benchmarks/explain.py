"""Do explanations recover the regions that were planted? AUC of planted against other regions.

The cohort is SIMULATED (brainnet.simulate.cohort) at the moderate effect. Each network is fitted
on five folds, several times each with other seeds, and explained on those test subjects of each
fold that are of the mildest or the most severe stage, by integrated gradients, occlusion and
GNNExplainer; the maps are averaged. The plain group difference of the same training subjects stands
beside them. One thread::

    OMP_NUM_THREADS=1 python tests/benchmarks/explain.py [--seeds 0 1 2] [--networks GCN]

For each map: the AUC in each modality; over all pairs of modality and region (``all``: sizes are
compared across modalities too); and of regions planted in any modality by the sum of absolute
values over modalities (``regions``). Occlusion and GNNExplainer are run on the first training of
each fold; ``integrated_gradients_once`` is integrated gradients on these alone. The development
seeds, on which defaults were chosen, are 100 and above. The last line is JSON.
"""

import argparse
import json
import platform
import time
from importlib.metadata import version

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from brainnet.cohort.subjects import Subjects
from brainnet.explain import fit_folds
from brainnet.explain.attribution import summarise
from brainnet.explain.gradients import integrated_gradients
from brainnet.explain.groups import group_difference
from brainnet.explain.masks import gnn_explainer
from brainnet.explain.occlusion import occlude_regions
from brainnet.explain.targets import Target
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.multiplex_staging import multiplex_network
from brainnet.models.measures import with_measures
from brainnet.simulate.cohort import simulate_cohort

WANTED = 0.85
NETWORKS = {
    "GCN": lambda: GraphClassifier(features=("profile", "values", "measures")),
    "MultiplexNetwork": multiplex_network,
}


def areas(truth, maps, modalities):
    """AUC by modality, over all pairs, and of regions over modalities."""
    size = np.abs(np.nan_to_num(maps))
    found = {name: roc_auc_score(*each) for name, *each in zip(modalities, truth, size, strict=True)
             if each[1].any()}  # fmt: skip
    found["all"] = roc_auc_score(truth.ravel(), size.ravel())
    found["regions"] = roc_auc_score(truth.any(axis=0), size.sum(axis=0))
    return {name: round(float(value), 3) for name, value in found.items()}


def maps_of(folds, subjects, stages, *, methods, n_steps):
    """Mean map of each method over the folds, and seconds spent."""
    maps, seconds, accuracy = {}, {}, []
    first = folds[0].seed
    target = Target.of("extremes", folds[0].estimator.classes_)

    def add(name, start, map_):
        maps.setdefault(name, []).append(map_)
        seconds[name] = seconds.get(name, 0) + time.perf_counter() - start

    for fold in folds:
        ends = fold.test[np.isin(stages[fold.test], target.name.split("/"))]
        tested, own = subjects[ends], stages[ends]

        def contrast(values, own=own):
            return summarise(values, "contrast", stages=own, target=target)

        start = time.perf_counter()
        found = integrated_gradients(fold.estimator, tested, n_steps=n_steps)
        add("integrated_gradients", start, contrast(found.regions))
        if fold.seed != first:
            continue
        add("integrated_gradients_once", start, contrast(found.regions))
        if "occlusion" in methods:
            start = time.perf_counter()
            found = occlude_regions(fold.estimator, tested, subjects[fold.train])
            add("occlusion", start, contrast(found))
        if "gnn_explainer" in methods:
            start = time.perf_counter()
            add("gnn_explainer", start, gnn_explainer(fold.estimator, tested).regions[0])
        everyone = fold.estimator.predict(subjects[fold.test])
        accuracy.append((everyone == stages[fold.test]).mean())
    mean = {name: np.mean(each, axis=0) for name, each in maps.items()}
    return mean, seconds, float(np.mean(accuracy))


def peers(folds, subjects, stages):
    """Mean |t| of the training subjects: of mean edges, of values, of edges."""
    trained = {fold.fold: fold.train for fold in folds}
    found = [group_difference(subjects[rows], stages[rows]) for rows in trained.values()]
    t = np.mean([np.abs(each.t[:3]) for each in found], axis=0)
    return {f"t of {name}": t[row] for row, name in enumerate(found[0].measures[:3])}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--methods", nargs="*", default=["occlusion", "gnn_explainer"])
    parser.add_argument("--subjects", type=int, default=400)
    parser.add_argument("--steps", type=int, default=16, help="of integrated gradients")
    parser.add_argument("--trainings", type=int, help="a fold; as fit_folds by default")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in options.seeds:
        cohort = simulate_cohort(options.subjects, seed=seed)
        subjects, stages = with_measures(Subjects.from_cohort(cohort)), cohort["stage"].values
        truth = cohort["planted"].values.astype(bool)
        for network in options.networks:
            start = time.perf_counter()
            folds = fit_folds(NETWORKS[network](), subjects, stages, n_seeds=options.trainings)
            fitted = time.perf_counter() - start
            maps, seconds, accuracy = maps_of(
                folds, subjects, stages, methods=options.methods, n_steps=options.steps
            )
            if network == options.networks[0]:
                maps |= peers(folds, subjects, stages)
            for method, map_ in maps.items():
                row = {
                    "seed": seed,
                    "network": "none" if method.startswith("t of") else network,
                    "method": method,
                    "auc": areas(truth, map_, subjects.modalities),
                    "seconds": round(seconds.get(method, 0.0), 1),
                }
                rows.append(row)
                print(f"{seed:4d} {row['network']:17s} {method:26s} {row['auc']}", flush=True)
            print(
                f"     accuracy {accuracy:.3f}, fitted {len(folds)} in {fitted:.0f} s", flush=True
            )
    mean: dict[str, dict[str, float]] = {}
    for row in rows:
        key = f"{row['network']} {row['method']}"
        own = (row["network"], row["method"])
        same = [each["auc"] for each in rows if (each["network"], each["method"]) == own]
        names = [name for name in same[0] if all(name in each for each in same)]
        mean[key] = {
            name: round(float(np.mean([each[name] for each in same])), 3) for name in names
        }
    print(json.dumps({
        "simulated": True, "subjects": options.subjects, "seeds": options.seeds, "wanted": WANTED,
        "mean_auc": mean, "rows": rows, "steps": options.steps, "torch": version("torch"),
        "python": platform.python_version(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
