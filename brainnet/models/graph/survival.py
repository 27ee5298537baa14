"""Conversion from MCI to AD as discrete-time survival, on the same networks as stages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional

from brainnet.models.core.checkpoint import save_checkpoint
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.multiplex_staging import multiplex_network
from brainnet.models.graph.saving import described, loaded, named, restore

__all__ = ["TASK", "ConversionNetwork", "Hazards", "concordance", "follow_up"]

TASK = "conversion"  # what the card of a saved network says

Floats = NDArray[np.float64]

_FOLLOW_UP = np.dtype([("event", np.bool_), ("time", np.float64)])


class Hazards:
    r"""Conditional probabilities of conversion, interval by interval.

    .. math:: \mathrm{logit}\, h_j = r + o_j

    with one risk :math:`r` that counts in all intervals, the first output, and one output for
    each. Where a network reads only the first off the subject (``n_scores=1``), hazards are
    proportional on the odds. The loss is the negative log-likelihood

    .. math:: -\sum_j s_j \ln(1 - h_j) + f_j \ln h_j

    with :math:`s_j` 1 for an interval survived and :math:`f_j` for that of conversion; what comes
    after a subject was last seen is 0 in both and has no say.

    References
    ----------
    Gensheimer and Narasimhan (2019), A scalable discrete-time survival model for neural networks,
    PeerJ 7:e6257.

    Examples
    --------
    >>> Hazards().probabilities(torch.zeros(1, 3))
    tensor([[0.5000, 0.2500, 0.2500]], dtype=torch.float64)
    """

    def n_outputs(self, n_stages: int) -> int:
        """Return one for each of so many intervals, and the risk."""
        return n_stages + 1

    def loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the mean negative log-likelihood.

        ``targets`` are ``(n_subjects, n_intervals, 2)``: survived, converted; ``weights``
        ``(n_intervals,)`` count the intervals.
        """
        logits = outputs[:, :1] + outputs[:, 1:]
        survived, converted = targets.to(logits.dtype).unbind(-1)
        losses = survived * functional.softplus(logits) + converted * functional.softplus(-logits)
        return (losses * weights).sum(dim=1).mean()

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return ``(n_subjects, n_intervals + 1)``: of conversion in each, and of none."""
        logits = (outputs[:, :1] + outputs[:, 1:]).double()
        survival = functional.pad(torch.sigmoid(-logits).cumprod(dim=1), (1, 0), value=1.0)
        return survival * functional.pad(torch.sigmoid(logits), (0, 1), value=1.0)


class ConversionNetwork(BaseEstimator):
    """Say when a subject with MCI will convert, from a graph network on its brain networks.

    Time is cut into intervals. A subject counts in each interval until it converts or is last
    seen: one that left after two years without conversion says something of these two years, and
    nothing of later ones. Seen for at least half of an interval counts as the whole of it.

    Parameters
    ----------
    estimator : GraphClassifier, optional
        Its network, inputs and training are used; its head is not.
        :func:`~brainnet.models.graph.multiplex_staging.multiplex_network` by default.
    breaks : sequence of float
        Ends of the intervals in years, rising; the first begins at 0. Conversion later than the
        last one is as good as none.

    Attributes
    ----------
    estimator_ : GraphClassifier
        Fitted; it has no ``classes_``.
    breaks_ : (n_intervals + 1,) array
        With 0.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.uniform(0, 0.2, size=(40, 1, 5, 5))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[20:, :, :3, :3] += 0.6
    >>> y = follow_up([False] * 20 + [True] * 20, [3.0] * 20 + [0.5] * 20)
    >>> one = GraphClassifier(n_epochs=20, learning_rate=0.02)
    >>> model = ConversionNetwork(one, breaks=(1.0, 2.0, 3.0)).fit(networks, y)
    >>> model.predict_survival(networks).shape, model.score(networks, y) > 0.9
    ((40, 4), True)
    """

    def __init__(
        self,
        estimator: GraphClassifier | None = None,
        *,
        breaks: Sequence[float] = (1.0, 2.0, 3.0, 4.0, 5.0),
    ) -> None:
        self.estimator = estimator
        self.breaks = breaks

    def fit(
        self, networks: ArrayLike, y: Any, groups: ArrayLike | None = None
    ) -> "ConversionNetwork":
        """Learn from training subjects.

        Parameters
        ----------
        networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
        y : structured array or pair of arrays
            As :func:`follow_up` makes it, or ``(event, time)``.
        groups : (n_subjects,) array, optional
            Participant of each row.

        Raises
        ------
        ValueError
            A time is negative or missing; nobody converts, or nobody before the last break; the
            breaks do not rise from 0.
        """
        known = _known(y)
        self.breaks_ = _checked_breaks(self.breaks)
        targets = _targets(known, self.breaks_)
        _check_events(known, targets, self.breaks_)
        network = multiplex_network() if self.estimator is None else clone(self.estimator)
        self.estimator_ = network.set_params(head=Hazards(), fuse=False).fit_targets(
            networks,
            torch.from_numpy(targets),
            strata=targets[..., 1].any(axis=1).astype(np.int64),
            weights=torch.ones(len(self.breaks_) - 1),
            groups=groups,
        )
        return self

    def predict_survival(self, networks: ArrayLike) -> Floats:
        """Return the probabilities of no conversion up to 0 and each break.

        Returns
        -------
        (n_subjects, n_intervals + 1) array
            Falling from 1.
        """
        check_is_fitted(self, "estimator_")
        outputs = self.estimator_.outputs(networks)
        logits = (outputs[:, :1] + outputs[:, 1:]).double()
        survival = torch.sigmoid(-logits).cumprod(dim=1)
        found: Floats = functional.pad(survival, (1, 0), value=1.0).numpy()
        return found

    def predict_proba(self, networks: ArrayLike, horizon: float | None = None) -> Floats:
        """Return the probabilities of no conversion by a horizon, and of conversion.

        Parameters
        ----------
        networks : as in :meth:`fit`
        horizon : float, optional
            Years, above 0 and up to the last break, which is the default. Within an interval the
            rate of conversion is constant.

        Returns
        -------
        (n_subjects, 2) array
            Rows sum to 1.
        """
        check_is_fitted(self, "estimator_")
        last = float(self.breaks_[-1])
        year = last if horizon is None else float(horizon)
        if not 0 < year <= last:
            raise ValueError(
                f"horizon must be above 0 and up to the last break, {last:g} years; got "
                f"{year:g}. Fit with later breaks."
            )
        logs = np.log(np.maximum(self.predict_survival(networks), np.finfo(np.float64).tiny))
        place = min(int(np.searchsorted(self.breaks_, year, side="left")), len(self.breaks_) - 1)
        before, after = self.breaks_[place - 1], self.breaks_[place]
        share = (year - before) / (after - before)
        stays = np.exp((1 - share) * logs[:, place - 1] + share * logs[:, place])
        return np.stack([stays, 1 - stays], axis=1)

    def predict(self, networks: ArrayLike) -> Floats:
        """Return the expected years without conversion, of those up to the last break."""
        survival = self.predict_survival(networks)
        middle = (survival[:, 1:] + survival[:, :-1]) / 2
        return np.asarray(middle @ np.diff(self.breaks_))

    def save(
        self,
        folder: Path | str,
        *,
        modalities: Sequence[str] = (),
        regions: Sequence[str] = (),
        scores: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the fitted network into a folder: a model card and safetensors, no pickle.

        Parameters
        ----------
        folder, modalities, regions, scores
            As of :meth:`brainnet.models.graph.estimator.GraphClassifier.save`.

        Raises
        ------
        ValueError
            If the network is not one that `brainnet.models.core.networks` can make again, or the
            number of names is not that of the axis.
        """
        check_is_fitted(self, "estimator_")
        names = named(self.estimator_, modalities, regions)
        card, arrays = described(self.estimator_)
        more = {"task": TASK, "breaks": self.breaks_[1:].tolist(), "scores": dict(scores or {})}
        return save_checkpoint(folder, self.estimator_.model_, card | names | more, arrays=arrays)

    @classmethod
    def load(cls, folder: Path | str) -> "ConversionNetwork":
        """Return a network that `save` wrote; it predicts the same, bit for bit.

        Its ``estimator`` has the settings of the one it was saved with, but for the head, which
        is not used, and ``device``; ``estimator_.card_`` is its model card.

        Raises
        ------
        DataError
            If the folder holds no such network, or one that is damaged or was changed.
        """

        def made(
            model: nn.Module, card: dict[str, Any], arrays: Mapping[str, NDArray]
        ) -> "ConversionNetwork":
            fitted = restore(GraphClassifier(head=Hazards()), model, card, arrays)
            found = cls(clone(fitted).set_params(head="categorical"), breaks=tuple(card["breaks"]))
            found.breaks_ = _checked_breaks(found.breaks)
            if Hazards().n_outputs(len(found.breaks)) != fitted.n_outputs_:
                raise ValueError("breaks do not fit the network")
            found.estimator_ = fitted
            return found

        return loaded(folder, TASK, made)

    def score(self, networks: ArrayLike, y: Any) -> float:
        """Return the concordance of the expected years with what happened."""
        known = _known(y)
        return concordance(known["event"], known["time"], -self.predict(networks))


def follow_up(event: ArrayLike, time: ArrayLike) -> NDArray[np.void]:
    """Return what is known of each subject as one array, which scikit-learn can split.

    Parameters
    ----------
    event : (n_subjects,) array of bool
        Whether the subject converted.
    time : (n_subjects,) array
        Years to conversion, or until last seen.

    Returns
    -------
    (n_subjects,) structured array
        Fields ``event`` and ``time``.

    Raises
    ------
    ValueError
        The lengths differ; a time is negative or missing; an event is neither 0 nor 1.

    Examples
    --------
    >>> follow_up([1, 0], [1.5, 4])["time"].tolist()
    [1.5, 4.0]
    """
    events, times = np.asarray(event), np.asarray(time, dtype=np.float64)
    if events.ndim != 1 or events.shape != times.shape:
        raise ValueError(
            f"event and time must be two arrays of one length; got shapes {events.shape} and "
            f"{times.shape}. Give one of each for every subject."
        )
    if not np.isin(events, (0, 1)).all():
        raise ValueError(
            f"event must be True or False; got {np.unique(events).tolist()}. "
            "Leave out subjects of whom it is not known."
        )
    if not (np.isfinite(times) & (times >= 0)).all():
        worst = times[~(np.isfinite(times) & (times >= 0))][0]
        raise ValueError(
            f"time must be 0 or more years for everybody; got {worst}. Count from the scan, and "
            "leave out subjects without follow-up."
        )
    known = np.empty(len(events), dtype=_FOLLOW_UP)
    known["event"], known["time"] = events.astype(np.bool_), times
    return known


def concordance(event: ArrayLike, time: ArrayLike, risk: ArrayLike) -> float:
    r"""Return Harrell's C: how often of two subjects the one at more risk converts first.

    Pairs count where it is known who was first: one converted, and the other was seen for longer,
    or as long without conversion. Equal risks count half.

    Parameters
    ----------
    event : (n_subjects,) array of bool
    time : (n_subjects,) array
        Years.
    risk : (n_subjects,) array
        More is sooner, in any unit.

    Returns
    -------
    float
        In 0 to 1; 0.5 is chance. NaN where no pair counts.

    References
    ----------
    Harrell et al. (1982), JAMA 247:2543.

    Examples
    --------
    >>> concordance([True, True, False], [1.0, 2.0, 3.0], [0.9, 0.1, 0.5])
    0.6666666666666666
    """
    known = follow_up(event, time)
    risks = np.asarray(risk, dtype=np.float64)
    if risks.shape != known.shape or np.isnan(risks).any():
        raise ValueError(
            f"risk must be one number for each of {len(known)} subjects; got shape "
            f"{risks.shape}, {int(np.isnan(risks).sum())} of them NaN. Predict for the same rows."
        )
    first, seen = known["event"], known["time"]
    later = (seen[:, None] < seen) | ((seen[:, None] == seen) & ~first)
    pairs = first[:, None] & later
    if not pairs.any():
        return float("nan")
    right = np.sign(risks[:, None] - risks) / 2 + 0.5
    return float(right[pairs].mean())


def _known(y: Any) -> NDArray[np.void]:
    """Return ``y`` as :func:`follow_up` makes it, checked."""
    names = getattr(getattr(y, "dtype", None), "names", None)
    if names is not None and len(names) == 2:
        return follow_up(y[names[0]], y[names[1]])
    if isinstance(y, tuple | list) and len(y) == 2:
        return follow_up(*y)
    raise ValueError(
        f"y must be a structured array (event, time), or the pair of both; got "
        f"{type(y).__name__}. Make it with follow_up(event, time)."
    )


def _checked_breaks(breaks: Sequence[float]) -> Floats:
    """Return the breaks with 0."""
    given = np.asarray(breaks, dtype=np.float64)
    whole = np.concatenate([[0.0], given.ravel()])
    if (
        given.ndim != 1
        or not given.size
        or not np.isfinite(whole).all()
        or np.any(np.diff(whole) <= 0)
    ):
        raise ValueError(f"breaks must rise from above 0; got {list(breaks)}. Try (1, 2, 3).")
    return whole


def _targets(known: NDArray[np.void], breaks: Floats) -> NDArray[np.float32]:
    """Return ``(n_subjects, n_intervals, 2)``: survived, converted."""
    start, end = breaks[:-1], breaks[1:]
    event, time = known["event"][:, None], known["time"][:, None]
    converted = event & (time <= end) & ((time > start) | (start == 0))
    seen = np.where(event, time > end, time >= (start + end) / 2)
    return np.stack([seen, converted], axis=-1).astype(np.float32)


def _check_events(known: NDArray[np.void], targets: NDArray[np.float32], breaks: Floats) -> None:
    if not known["event"].any():
        raise ValueError(
            f"y must hold at least one conversion; got none among {len(known)} subjects. "
            "Add subjects with progressive MCI."
        )
    if not targets[..., 1].any():
        soonest = known["time"][known["event"]].min()
        raise ValueError(
            f"y must hold a conversion up to the last break, {breaks[-1]:g} years; the first is "
            f"at {soonest:g}. Set later breaks."
        )
