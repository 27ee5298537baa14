"""Sets of stages that hold the true one as often as promised, whatever the model is worth."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils.validation import check_is_fitted

from brainnet.evaluate.inner import aligned, inner_predictions, participants_of, rows_of
from brainnet.models.stages import check_stages

__all__ = ["PER", "SCORES", "Conformal", "coverage_table", "nonconformity", "prediction_sets"]

Floats = NDArray[np.float64]

#: How strange a stage is for a subject.
SCORES = ("aps", "lac")
#: For whom the promise holds: all subjects together, or those of each stage.
PER = ("all", "stage")
#: Whom the sets of an evaluation are calibrated on.
POOLS = ("fold", "repeat")
#: How the wrapper keeps training and calibration apart.
CALIBRATIONS = ("cross", "split")

_N_BOOTSTRAP = 1000


def nonconformity(probabilities: ArrayLike, *, score: str = "aps") -> Floats:
    """Return how strange each stage would be for each subject.

    Parameters
    ----------
    probabilities : (n_subjects, n_stages) array
    score : str
        ``lac``: one less the stage's probability; gives the smallest sets, which may be empty for
        a subject like no other. ``aps``: the probability of all stages that are more probable;
        sets grow with the doubt about the subject and always hold the most probable stage. It is
        Romano's score without its random part, so that a subject's set hangs on no draw: where
        the model is right more often than promised, so are the sets.

    Returns
    -------
    (n_subjects, n_stages) float64 array
        From 0 to 1.

    Raises
    ------
    ValueError
        If the score is not known or the array not two-dimensional.

    References
    ----------
    Sadinle, Lei and Wasserman (2019), J Am Stat Assoc 114:223 (lac). Romano, Sesia and Candès
    (2020), NeurIPS 33:3581 (aps).

    Examples
    --------
    >>> nonconformity([[0.5, 0.2, 0.3]]).round(2), nonconformity([[0.5, 0.2, 0.3]], score="lac")
    (array([[0. , 0.8, 0.5]]), array([[0.5, 0.8, 0.7]]))
    """
    chances = np.asarray(probabilities, dtype=np.float64)
    if score not in SCORES or chances.ndim != 2:
        raise ValueError(
            f"score must be one of {', '.join(SCORES)} and probabilities (n_subjects, n_stages); "
            f"got {score!r} and shape {chances.shape}."
        )
    if score == "lac":
        return 1.0 - chances
    ahead = chances[:, np.newaxis, :] > chances[:, :, np.newaxis]
    return np.asarray(np.einsum("nkj,nj->nk", ahead, chances))


def prediction_sets(
    predictions: pd.DataFrame,
    *,
    alpha: float = 0.1,
    score: str = "aps",
    per: str = "all",
    pool: str = "fold",
) -> pd.DataFrame:
    """Return the set of stages of each subject of an evaluation.

    A stage is in the set if its p-value, the share of calibration participants (this one counted
    in) whose own stage was at least as strange, is above ``alpha``. A participant's own rows are
    never among those it is calibrated on, and each other counts once, however many visits it has.

    Parameters
    ----------
    predictions : DataFrame
        Of :class:`brainnet.evaluate.Evaluation`: ``estimator``, ``repeat``, ``fold``,
        ``participant``, ``truth`` and ``p_<stage>``.
    alpha : float
        Share of subjects whose set may miss their stage, in (0, 1).
    score : str
        See :func:`nonconformity`.
    per : str
        ``all``, or ``stage`` (Mondrian): the promise holds for the subjects of each stage, with
        larger sets, as each stage is calibrated on its own participants.
    pool : str
        ``fold``: calibrated on those tested by the same model; then the true stage is in the set
        with probability of at least ``1 - alpha``, if the participants are exchangeable.
        ``repeat``: on all tested in that repeat, by models of several folds; more to calibrate
        on, and as with all cross-conformal sets near ``1 - alpha`` but proven only for
        ``1 - 2 alpha``.

    Returns
    -------
    DataFrame
        ``estimator``, ``repeat``, ``fold``, ``participant``, ``truth``, ``in_<stage>`` (bool),
        ``size`` and ``covered`` (bool), with the index of ``predictions``. With fewer than
        ``1 / alpha - 1`` participants to calibrate on, the set holds all stages.

    Raises
    ------
    ValueError
        If an option is not known, ``alpha`` is not in (0, 1), or a column is missing.

    References
    ----------
    Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World (Mondrian). Vovk
    (2015), Ann Math Artif Intell 74:9. Barber, Candès, Ramdas and Tibshirani (2021), Ann Stat
    49:486. Lee, Barber and Willett (2023), arXiv:2306.06342 (several rows of one participant).

    Examples
    --------
    >>> rows = pd.DataFrame({"p_CN": np.linspace(0.05, 0.95, 40)}).assign(
    ...     p_AD=lambda each: 1 - each["p_CN"], estimator="linear", repeat=0, fold=0,
    ...     participant=np.arange(40), truth=np.repeat(["AD", "CN"], 20),
    ... )
    >>> sets = prediction_sets(rows, alpha=0.2, score="lac")
    >>> bool(sets["covered"].mean() >= 0.8)
    True
    """
    _check(alpha, score, per)
    if pool not in POOLS:
        raise ValueError(f"pool must be one of {', '.join(POOLS)}; got {pool!r}.")
    stages = _stages_of(predictions)
    chances = predictions[[f"p_{stage}" for stage in stages]].to_numpy(dtype=np.float64)
    truth = predictions["truth"].map(stages.index).to_numpy()
    strange = nonconformity(chances, score=score)
    inside = np.zeros(strange.shape, dtype=bool)
    together = ["estimator", "repeat", "fold"] if pool == "fold" else ["estimator", "repeat"]
    people = predictions["participant"].to_numpy()
    for rows in predictions.groupby(together, sort=False).indices.values():
        inside[rows] = _above(_of_pool(strange[rows], truth[rows], people[rows], per), alpha)
    sets = predictions[["estimator", "repeat", "fold", "participant", "truth"]].copy()
    for place, stage in enumerate(stages):
        sets[f"in_{stage}"] = inside[:, place]
    sets["size"] = inside.sum(axis=1)
    sets["covered"] = inside[np.arange(truth.size), truth]
    return sets


def coverage_table(sets: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Return how often sets hold the true stage, and how large they are.

    Parameters
    ----------
    sets : DataFrame
        Of :func:`prediction_sets`.
    seed : int
        Decides the resamples of the interval.

    Returns
    -------
    DataFrame
        ``estimator``, ``of`` (``all`` or a stage), ``n_participants``, ``coverage``, ``low``,
        ``high`` (95 % bootstrap over participants), ``size`` (mean), ``single`` and ``empty``
        (shares of sets of one stage and of none). A participant's rows are averaged first.

    Examples
    --------
    >>> sets = pd.DataFrame({
    ...     "estimator": "linear", "participant": ["01", "02"], "truth": ["CN", "AD"],
    ...     "size": [1, 2], "covered": [True, True],
    ... })
    >>> coverage_table(sets)[["of", "coverage", "size", "single"]].values.tolist()
    [['all', 1.0, 1.5, 0.5], ['CN', 1.0, 1.0, 1.0], ['AD', 1.0, 2.0, 0.0]]
    """
    rows = []
    for name, own in sets.groupby("estimator", sort=False):
        parts = {"all": own} | {
            str(stage): own[own["truth"] == stage] for stage in own["truth"].unique()
        }
        for of, part in parts.items():
            each = part.assign(single=part["size"] == 1, empty=part["size"] == 0).groupby(
                "participant"
            )[["covered", "size", "single", "empty"]].mean()  # fmt: skip
            found = each["covered"].to_numpy(dtype=np.float64)
            rng = np.random.default_rng(seed)
            drawn = rng.multinomial(found.size, np.full(found.size, 1 / found.size), _N_BOOTSTRAP)
            low, high = np.percentile(drawn @ found / found.size, [2.5, 97.5])
            means = each.mean()
            rows.append(
                (name, of, found.size, means["covered"], low, high, *means.iloc[1:].tolist())
            )
    columns = ["estimator", "of", "n_participants", "coverage", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "size", "single", "empty"])


class Conformal(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """A classifier that gives each new subject a set of stages with a promise of coverage.

    Parameters
    ----------
    estimator : classifier
    alpha : float
        Share of new subjects whose set may miss their stage, in (0, 1).
    score : str
        See :func:`nonconformity`.
    per : str
        ``all`` or ``stage``, as of :func:`prediction_sets`.
    calibration : str
        ``cross``: a model a fold, each calibrated on the fold it did not see (Vovk's
        cross-conformal): all subjects train and calibrate; coverage is near ``1 - alpha`` and
        proven for ``1 - 2 alpha``. ``split``: one model, calibrated on one fold held out; coverage
        of at least ``1 - alpha`` is proven.
    n_splits : int
        Folds, stratified, a participant's rows together; lowered to the participants of the
        smallest stage.
    seed : int
        Decides the folds.

    Attributes
    ----------
    models_ : tuple of classifiers
    scores_ : (n_calibration,) array
        How strange each calibration row's own stage was.
    classes_ : array

    Notes
    -----
    The promise is for subjects exchangeable with those of training, on average over them: another
    scanner, another clinic or another mix of stages (unless ``per="stage"``) voids it. Of several
    visits of a participant it holds for one taken at random.

    References
    ----------
    Vovk (2015), Ann Math Artif Intell 74:9. See also :func:`prediction_sets`.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> rng = np.random.default_rng(0)
    >>> stages = np.repeat(["AD", "CN"], 50)
    >>> table = rng.normal(size=(100, 2)) + 2.0 * (stages == "CN")[:, np.newaxis]
    >>> model = Conformal(GaussianNB(), alpha=0.05).fit(table, stages)
    >>> model.predict_set([[3.0, 3.0], [1.0, 1.0]])
    array([[False,  True],
           [ True,  True]])
    """

    def __init__(
        self,
        estimator: Any,
        *,
        alpha: float = 0.1,
        score: str = "aps",
        per: str = "all",
        calibration: str = "cross",
        n_splits: int = 5,
        seed: int = 0,
    ) -> None:
        self.estimator = estimator
        self.alpha = alpha
        self.score = score
        self.per = per
        self.calibration = calibration
        self.n_splits = n_splits
        self.seed = seed

    def fit(self, subjects: Any, stages: ArrayLike, groups: ArrayLike | None = None) -> "Conformal":
        """Fit the models and calibrate them on those they did not see.

        Parameters
        ----------
        subjects : Subjects or array
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row; those of the subjects where they are known.

        Raises
        ------
        ValueError
            If an option is not known, or a stage has fewer than two participants.
        """
        _check(self.alpha, self.score, self.per)
        if self.calibration not in CALIBRATIONS:
            raise ValueError(
                f"calibration must be one of {', '.join(CALIBRATIONS)}; got {self.calibration!r}."
            )
        labels = check_stages(stages, len(subjects))
        who = participants_of(subjects, groups)
        self.classes_ = np.unique(labels)
        inner = inner_predictions(
            self.estimator, subjects, labels, self.classes_, groups=who, n_splits=self.n_splits,
            n_models=1 if self.calibration == "split" else None, seed=self.seed,
        )  # fmt: skip
        if not inner.models:
            raise ValueError(
                "each stage must have at least two participants, one to train and one to "
                "calibrate on. Leave out or merge the smallest stage."
            )
        self.models_ = inner.models
        kept = np.flatnonzero(inner.fold >= 0)
        truth = np.searchsorted(self.classes_, labels[kept])
        strange = nonconformity(inner.chances[kept], score=self.score)
        self.scores_ = strange[np.arange(truth.size), truth]
        self.truth_, self.fold_, self.participants_ = truth, inner.fold[kept], who[kept]
        return self

    def p_values(self, subjects: Any) -> Floats:
        """Return ``(n_subjects, n_stages)``: the share of strangers that are at least as strange.

        Above 0, at most 1, in the order of ``classes_``. Small for a stage that the subject most
        likely does not have; small for all where it is like nobody in training.
        """
        check_is_fitted(self, "scores_")
        n_stages = self.classes_.size
        counts = np.zeros((len(subjects), n_stages))
        weights = _weights(self.participants_, self.truth_, self.per, n_stages)
        for place, model in enumerate(self.models_):
            rows = self.fold_ == place
            chances = aligned(model, subjects, self.classes_)
            strange = nonconformity(chances, score=self.score)
            counts += _exceeding(self.scores_[rows], weights[rows], strange)
        return np.asarray((counts + 1) / (weights.sum(axis=0) + 1))

    def predict_set(self, subjects: Any) -> NDArray[np.bool_]:
        """Return ``(n_subjects, n_stages)``: which stages are in each subject's set."""
        return _above(self.p_values(subjects), self.alpha)

    def predict_proba(self, subjects: Any) -> Floats:
        """Return the mean probabilities of the models, in the order of ``classes_``."""
        check_is_fitted(self, "scores_")
        chances = [aligned(model, subjects, self.classes_) for model in self.models_]
        return np.asarray(np.mean(chances, axis=0))

    def predict(self, subjects: Any) -> NDArray:
        """Return the most probable stage of each subject."""
        chosen: NDArray = self.classes_[self.predict_proba(subjects).argmax(axis=1)]
        return chosen


def _check(alpha: float, score: str, per: str) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be in (0, 1); got {alpha}. 0.1 promises 90 %.")
    for name, value, known in (("score", score, SCORES), ("per", per, PER)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}.")


def _stages_of(predictions: pd.DataFrame) -> list[str]:
    needed = {"estimator", "repeat", "fold", "participant", "truth"}
    stages = [str(name).removeprefix("p_") for name in predictions if str(name).startswith("p_")]
    lost = sorted(needed - set(predictions.columns))
    if lost or not stages:
        raise ValueError(
            "predictions must be those of an Evaluation; missing: "
            f"{', '.join(lost) or 'p_<stage>'}. Pass evaluation.predictions."
        )
    return stages


def _of_pool(strange: Floats, truth: NDArray, people: NDArray, per: str) -> Floats:
    """P-values of rows calibrated on one another, each without those of its participant."""
    n_stages = strange.shape[1]
    own = strange[np.arange(truth.size), truth]
    weights = _weights(people, truth, per, n_stages)
    counts = _exceeding(own, weights, strange)
    counts -= (own[:, np.newaxis] >= strange) * weights
    total = weights.sum(axis=0) - weights
    for rows in rows_of(people):
        if rows.size > 1:
            other = ~np.eye(rows.size, dtype=bool)[:, :, np.newaxis] * weights[rows]
            as_strange = own[rows][np.newaxis, :, np.newaxis] >= strange[rows][:, np.newaxis, :]
            counts[rows] -= (as_strange * other).sum(axis=1)
            total[rows] -= other.sum(axis=1)
    return np.asarray((counts + 1) / (total + 1))


def _above(p_values: Floats, alpha: float) -> NDArray[np.bool_]:
    """Say where a p-value is above alpha; one equal to it but for rounding is not."""
    return np.asarray(p_values > alpha + 1e-12)


def _weights(people: NDArray, truth: NDArray, per: str, n_stages: int) -> Floats:
    """Return ``(n_rows, n_stages)``: what each row counts for each stage; a participant counts 1.

    Where the promise is for each stage, only rows of that stage count for it.
    """
    counted = np.ones((truth.size, n_stages)) if per == "all" else np.eye(n_stages)[truth]
    _, place = np.unique(people, return_inverse=True)
    visits = np.zeros((place.max(initial=-1) + 1, n_stages))
    np.add.at(visits, place, counted)
    return np.asarray(counted / np.maximum(visits[place], 1.0))


def _exceeding(own: Floats, weights: Floats, strange: Floats) -> Floats:
    """Return the weight of calibration rows at least as strange as each stage of each subject."""
    order = np.argsort(own)
    above = np.zeros((own.size + 1, weights.shape[1]))
    above[:-1] = np.cumsum(weights[order][::-1], axis=0)[::-1]
    first = np.searchsorted(own[order], strange)
    return np.take_along_axis(above, first, axis=0) if len(strange) else np.zeros(strange.shape)
