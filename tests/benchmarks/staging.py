"""Staging held to its promises: nothing leaks, what is planted is found, and it is done in time.

All cohorts are SIMULATED (brainnet.simulate.cohort): models are compared on planted damage, not on
patients. On a quiet machine, each part alone or all of them (about two hours on two cores)::

    python tests/benchmarks/staging.py [leak power explain speed same] [--jobs 2] [--seeds 3]
        [--estimators multiplex linear ...]

leak
    With the stages permuted over 100 seeds, each estimator within harmonisation and nested
    selection: the mean balanced accuracy beside the 95 % interval of chance; and two planted
    leaks, which have to stand out.
power
    Every estimator on the same folds of the same cohorts of moderate effect, with all modalities
    and with 30 % of them missing.
explain
    Area under the curve of planted against other regions, by what a fitted network looks at.
speed
    400 subjects, 3 modalities, 200 regions: five folds, settings chosen on three inner folds, of
    all baselines and three graph networks.
same
    The same seed twice, and on one process and two: the same predictions, bit for bit.

The last line is JSON.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from brainnet.cohort.subjects import Subjects
from brainnet.evaluate import Folds, compare, cross_validate_stages, out_of_fold
from brainnet.evaluate.search import Search
from brainnet.models.catalogue import BASELINES, CATALOGUE, GRAPH_NETWORKS, estimators
from brainnet.models.harmonised import Harmonised
from brainnet.models.measures import with_measures
from brainnet.simulate.cohort import Missing, parcellation, simulate_cohort

OURS = "multiplex"
ALL = (*BASELINES, *GRAPH_NETWORKS, OURS)
CHANCE = 0.25  # of four stages
LEAK_EPOCHS = 8  # a network that overfits is what could leak, not one that converges


def accuracy(chances, labels, stages):
    """Balanced accuracy of each repeat."""
    truth = np.array([stages.index(each) for each in labels])
    hits = chances.argmax(axis=-1) == truth
    return np.mean([hits[:, truth == each].mean(axis=1) for each in range(len(stages))], axis=0)


def quick(estimator):
    """The same estimator with few epochs and seeds; a committee keeps two members."""
    known = estimator.get_params()
    short = {name: LEAK_EPOCHS for name in known if name.split("__")[-1] == "n_epochs"}
    short |= {name: 1 for name in known if name.split("__")[-1] == "n_networks"}
    short |= {name: min(2, known[name]) for name in known if name.split("__")[-1] == "n_members"}
    return estimator.set_params(**short)


def guarded(name, seed):
    """An estimator as the leak test has it: searched within harmonised training subjects."""
    entry, estimator = CATALOGUE[name], quick(estimators([name], seed=seed)[name])
    if entry.grid:
        grid = {key: list(values)[:2] for key, values in entry.grid.items()}
        estimator = Search(estimator, grid, n_splits=2, seed=seed)
    return estimator if name in ("majority", "covariates") else Harmonised(estimator)


def scaled_before_the_split(subjects, labels):
    """A planted leak: the edges that differ most between stages, chosen on all subjects."""
    from sklearn.feature_selection import f_classif
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from brainnet.models.edges import EdgeImputer, EdgeTable

    table = EdgeTable().fit_transform(EdgeImputer().fit_transform(subjects))
    best = np.argsort(np.nan_to_num(f_classif(table, labels)[0]))[-50:]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    chances = np.zeros((1, len(labels), 4))
    for split in Folds(3).split(labels, subjects.participants):
        model.fit(table[split.train][:, best], labels[split.train])
        chances[0, split.test] = model.predict_proba(table[split.test][:, best])
    return chances, sorted(set(labels))


def leak(options):
    """Scores under permuted stages."""
    dataset = simulate_cohort(60, atlas=parcellation(20), seed=50)
    subjects = with_measures(Subjects.from_cohort(dataset))
    stages = ["CN", "EMCI", "LMCI", "AD"]
    rows, planted = [], []
    seeds = range(options.first_permutation, options.first_permutation + options.permutations)
    for name in options.estimators:
        start = time.perf_counter()
        scores = []
        for seed in seeds:
            labels = np.random.default_rng([seed, 1]).permutation(dataset["stage"].values)
            chances = out_of_fold(
                subjects, labels, guarded(name, seed), Folds(3, seed=seed), n_jobs=options.jobs
            )
            scores += list(accuracy(chances, labels, stages))
        rows.append(_chance_row(name, scores) | {"seconds": round(time.perf_counter() - start)})
        print(rows[-1], flush=True)
    for seed in seeds:
        labels = np.random.default_rng([seed, 1]).permutation(dataset["stage"].values)
        chances, order = scaled_before_the_split(subjects, labels)
        planted += list(accuracy(chances, labels, order))
    seen = _chance_row("selection on all subjects (planted leak)", planted)
    print(seen)
    return {
        "permutations": options.permutations,
        "estimators": rows,
        "planted_leak": seen,
        "ok": all(row["no_leak"] for row in rows) and not seen["no_leak"],
    }


def _chance_row(name, scores):
    """Mean score over permutations with its 95 % interval."""
    mean, error = float(np.mean(scores)), float(np.std(scores, ddof=1) / np.sqrt(len(scores)))
    low, high = CHANCE - 1.96 * error, CHANCE + 1.96 * error
    return {
        "estimator": name,
        "mean": round(mean, 4),
        "chance_low": round(low, 4),
        "chance_high": round(high, 4),
        "within": bool(low <= mean <= high or np.isclose(mean, CHANCE)),
        "no_leak": bool(mean <= CHANCE + 2.9 * error + 1e-9),  # one side, 17 tests together
    }


def power(options):
    """Balanced accuracy of every estimator, whole and with modalities missing."""
    tables = []
    for seed in range(options.seeds):
        for share in (0.0, 0.3):
            dataset = simulate_cohort(options.subjects, missing=Missing(share), seed=seed)
            result = cross_validate_stages(
                dataset, estimators(options.estimators, seed=seed), n_jobs=options.jobs, seed=seed
            )
            kept = result.table[result.table["metric"].isin(["balanced_accuracy", "kappa", "auc"])]
            gains = pd.DataFrame({"high": []})
            if OURS in options.estimators:
                gains = compare(result, baseline=OURS).set_index(["estimator", "metric"])
            spent = result.seconds.groupby("estimator")["fit"].mean()
            for row in kept.itertuples():
                gain = gains["high"].get((row.estimator, row.metric), np.nan)
                tables.append(
                    {"seed": seed, "missing": share, "estimator": row.estimator,
                     "metric": row.metric, "score": row.estimate, "below_ours": bool(gain < 0),
                     "fit_s": spent[row.estimator]}
                )  # fmt: skip
            for failure in result.failures.itertuples():
                print("FAILED", failure.estimator, failure.error)
            _show(pd.DataFrame(tables))
    found = _show(pd.DataFrame(tables))
    if OURS not in options.estimators or len(found) < 2:
        return {"subjects": options.subjects, "seeds": options.seeds,
                "table": found.round(4).reset_index().to_dict("records")}  # fmt: skip
    ours = found.loc[OURS]
    others = found.drop(index=OURS)
    return {
        "subjects": options.subjects,
        "seeds": options.seeds,
        "table": found.round(4).reset_index().to_dict("records"),
        "best_other": str(others["whole"].idxmax()),
        "ours_at_least_as_good": bool(ours["whole"] >= others["whole"].max()),
        "ours_best_with_missing": bool(ours["missing"] >= others["missing"].max()),
        "ours_loses_least": bool(
            ours["loss"] <= others.loc[others["whole"] > CHANCE + 0.1, "loss"].min()
        ),
    }


def _show(rows):
    """Mean balanced accuracy by estimator, whole and with modalities missing, and the loss."""
    own = rows[rows["metric"] == "balanced_accuracy"]
    mean = own.pivot_table(index="estimator", columns="missing", values="score")
    mean = mean.reindex(columns=[0.0, 0.3]).rename(columns={0.0: "whole", 0.3: "missing"})
    mean["loss"] = mean["whole"] - mean["missing"]
    mean["fit_s"] = own.groupby("estimator")["fit_s"].mean()
    mean["seeds_below_ours"] = own[own["missing"] == 0].groupby("estimator")["below_ours"].sum()
    mean = mean.sort_values("whole", ascending=False)
    print(mean.round(3).to_string(), flush=True)
    return mean


def explain(options):
    """What `explain.py` beside this file measures, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("explain.py"))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout)
    return json.loads(done.stdout.strip().splitlines()[-1])


def speed(options):
    """Minutes for the nested evaluation of a middle-sized cohort."""
    dataset = simulate_cohort(400, atlas=parcellation(200), seed=0)
    chosen = [*BASELINES, "gcn", "gin", OURS]
    grids = {name: CATALOGUE[name].grid for name in chosen if CATALOGUE[name].grid}
    start = time.perf_counter()
    result = cross_validate_stages(
        dataset, estimators(chosen, seed=0), n_splits=5, grids=grids, n_jobs=options.jobs, seed=0
    )
    minutes = (time.perf_counter() - start) / 60
    spent = result.seconds.groupby("estimator")["fit"].sum().round(1)
    print(spent.sort_values().to_string())
    print(f"{minutes:.1f} minutes on {options.jobs} processes of one thread; asked: 30")
    scores = result.table.query("metric == 'balanced_accuracy'").set_index("estimator")["estimate"]
    return {
        "minutes": round(minutes, 2),
        "ok": minutes <= 30,
        "seconds": spent.to_dict(),
        "balanced_accuracy": scores.round(4).to_dict(),
        "failures": result.failures["estimator"].tolist(),
    }


def same(options):
    """Names of estimators whose predictions differ between two runs of one seed."""
    dataset = simulate_cohort(40, atlas=parcellation(20), seed=0)
    subjects = with_measures(Subjects.from_cohort(dataset))
    labels, different = dataset["stage"].values, []
    for name in options.estimators:
        runs = [
            out_of_fold(
                subjects, labels, quick(estimators([name], seed=3)[name]), Folds(2), n_jobs=n_jobs
            )
            for n_jobs in (1, 1, 2)
        ]
        if not all(np.array_equal(runs[0], each) for each in runs[1:]):
            different.append(name)
    print(f"different from run to run: {different or 'none'}")
    return {"different": different, "ok": not different}


PARTS = {"leak": leak, "power": power, "explain": explain, "speed": speed, "same": same}


def main() -> None:
    """Run the parts asked for and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3, help="cohorts of the power part")
    parser.add_argument("--subjects", type=int, default=400, help="of the power part")
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--first-permutation", type=int, default=0)
    parser.add_argument("--estimators", nargs="+", default=ALL, choices=ALL, metavar="NAME")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    warnings.simplefilter("ignore")
    found = {
        "simulated": True,
        "torch": version("torch"),
        "python": platform.python_version(),
        "jobs": options.jobs,
    }
    for part in options.parts or PARTS:
        print(f"\n== {part}", flush=True)
        found[part] = PARTS[part](options)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
