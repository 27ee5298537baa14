"""Take out of a table what each site or scanner adds to it: ComBat, learned on training rows."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from brainnet.stats.design import MISSING, Design, _Column, names_of

__all__ = ["ADJUST", "PRIOR", "SMALL", "UNSEEN", "ComBat"]

Floats = NDArray[np.float64]

#: What of a site is taken out.
ADJUST = ("location_and_scale", "location")
#: What a site's effects on its columns are drawn towards.
PRIOR = ("columns", "none")
#: What to do with a site of one training subject, which has no scale.
SMALL = ("fail", "location")
#: What to do with a site that no training subject comes from.
UNSEEN = ("fail", "as_is", "estimate")

_ARRAYS = ("grand_mean_", "pooled_std_", "coefficients_", "location_", "scale_", "counts_")
_N_ITERATIONS = 1000
_TOLERANCE = 1e-7
_FLAT = 1e-20  # of the pooled variance: a column that does not vary


class ComBat(TransformerMixin, BaseEstimator):
    r"""Remove additive and multiplicative effects of the site, by empirical Bayes.

    Of column :math:`c` and subject :math:`j` of site :math:`i`, with covariates :math:`z`,

    .. math:: x_{ijc} = \alpha_c + z_{ij}^T \beta_c + \sigma_c (\gamma_{ic} + \sqrt{\delta_{ic}}
              \varepsilon_{ijc})

    and the adjusted value is :math:`\alpha_c + z_{ij}^T \beta_c + \sigma_c (\hat e_{ijc} -
    \gamma^*_{ic}) / \sqrt{\delta^*_{ic}}`, with :math:`\hat e = (x - \alpha - z^T \beta) / \sigma`.
    Within a site, :math:`\gamma` has a normal and :math:`\delta` an inverse gamma prior over the
    columns, whose parameters are their moments (Johnson's parametric form), so that a small site
    is drawn towards what its columns have in common. Give columns of one kind to one ComBat.

    Parameters
    ----------
    adjust : str
        ``location_and_scale``, or ``location`` where scales are alike or sites small.
    prior : str
        ``columns``: what the site's columns have in common, as above. ``none``: each column keeps
        its own estimate. The prior helps one column of a small site, but leaves a little of the
        site in every column, and models of thousands of columns can add it up: in 200 simulated
        subjects with 10,458 edges the site was told by a linear model with a balanced accuracy of
        1.00 before, 0.65 with the prior and 0.52 without
        (:func:`brainnet.evaluate.site_decoding.site_decoding`).
    small : str
        For a site of a single training subject: ``fail``, or ``location`` (its scale is taken for
        that of all sites).
    unseen : str
        For a site without training subjects. ``fail``. ``as_is``: nothing is taken out, its
        values come back as they are. ``estimate``: location and scale are estimated from the new
        site's own rows in that call of :meth:`transform`, without their labels; then what one
        subject gets depends on who else is given (transductive), and if the new site's stages
        are mixed otherwise than those of training, some of that difference goes as well.
    min_unseen : int
        Least number of rows of an unseen site to ``estimate`` from.

    Attributes
    ----------
    sites_ : (n_sites,) array of str
        Sites of training, sorted.
    grand_mean_, pooled_std_ : (n_columns,) float64 arrays
        :math:`\alpha` (at the mean covariates; sites weighted by their subjects), and
        :math:`\sigma` (over all training rows, divided by their number).
    coefficients_ : (n_covariates, n_columns) float64 array
        :math:`\beta` of the standardised covariates.
    location_, scale_ : (n_sites, n_columns) float64 arrays
        :math:`\gamma^*` and :math:`\delta^*`; 0 and 1 where the site has no value.
    counts_ : (n_sites, n_columns) float64 array
        Training values behind each.

    Notes
    -----
    **Covariates** keep their effect: age and sex, where sites differ in them. The stage is not one
    of them. To keep it, the stage of a test subject would have to be known before it is predicted,
    and keeping it in training alone shifts the two apart. Without it, whatever of the stage goes
    with the site is lost with the site; where sites and stages are mixed evenly, nothing is.

    A missing covariate, or a level that training did not have, is taken for the training mean.

    NaN is left out of every estimate and stays NaN. A value of a known site in a column where that
    site had no training value comes back as it is. A column that does not vary within sites loses
    the difference of its sites, without prior. With one site nothing is taken out.

    Against others: as neuroCombat 0.2.12 (to its tolerance of 1e-4). Its ``mean_only`` shrinks as
    if each site had one subject; here the site's own number counts. combatlearn 2.3 has the same
    means, coefficients and variances, but takes its priors over the sites of one column and not
    over the columns of one site; the two meet as sites grow.

    References
    ----------
    Johnson, Li and Rabinovic (2007), Biostatistics 8:118. Fortin et al. (2017), NeuroImage
    161:149; (2018), NeuroImage 167:104.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sites = np.repeat(["A", "B"], 50)
    >>> table = rng.normal(size=(100, 20)) + 3.0 * (sites == "B")[:, np.newaxis]
    >>> adjusted = ComBat().fit_transform(table, sites)
    >>> means = [adjusted[sites == site].mean() for site in ("A", "B")]
    >>> bool(abs(means[0] - means[1]) < 0.1)
    True
    """

    def __init__(
        self,
        *,
        adjust: str = "location_and_scale",
        prior: str = "columns",
        small: str = "fail",
        unseen: str = "fail",
        min_unseen: int = 10,
    ) -> None:
        self.adjust = adjust
        self.prior = prior
        self.small = small
        self.unseen = unseen
        self.min_unseen = min_unseen

    def fit(
        self, table: ArrayLike, sites: ArrayLike, covariates: ArrayLike | pd.DataFrame | None = None
    ) -> "ComBat":
        """Learn the effects of the sites.

        Parameters
        ----------
        table : (n_subjects, n_columns) array
            NaN where not measured.
        sites : (n_subjects,) array
        covariates : DataFrame or (n_subjects, n_covariates) array, optional
            Effects to keep. Numbers enter linearly, text and truth values by level.

        Raises
        ------
        ValueError
            If a shape does not fit, a value is infinite, a site is missing, a site has one subject
            (``small="fail"``), or the covariates cannot be told from the sites.
        """
        self._check()
        rows, names = _checked(table, sites)
        there = np.isfinite(rows).any(axis=1)
        if not there.any():
            raise ValueError("table must hold a value; got NaN only. Leave such columns out.")
        self.sites_, places = np.unique(names[there], return_inverse=True)
        self.n_features_in_ = rows.shape[1]
        self._refuse_small(np.bincount(places))
        frame = _as_frame(covariates, len(rows))
        self.design_ = Design().fit(frame[there])
        of_site = np.eye(self.sites_.size)[places]
        z = self.design_.transform(frame[there])
        _refuse_confounded(z, of_site, map(str, frame.columns))
        self._learn(rows if there.all() else rows[there], of_site, z)
        return self

    def transform(
        self, table: ArrayLike, sites: ArrayLike, covariates: ArrayLike | pd.DataFrame | None = None
    ) -> Floats:
        """Return the table without what the sites add.

        Parameters
        ----------
        table, sites, covariates
            As for :meth:`fit`, of the same or of other subjects.

        Returns
        -------
        (n_subjects, n_columns) float64 array
            NaN where ``table`` is.

        Raises
        ------
        ValueError
            If a shape does not fit that of training, or by :attr:`unseen`.
        """
        check_is_fitted(self, "location_")
        self._check()
        rows, names = _checked(table, sites)
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"table must have the {self.n_features_in_} columns of training; "
                f"got {rows.shape[1]}. Build both tables alike."
            )
        z = self.design_.transform(_as_frame(covariates, len(rows)))
        fitted = z @ self.coefficients_
        fitted += self.grand_mean_
        adjusted = rows - fitted
        measured = np.isfinite(rows).any(axis=1)
        self._refuse_unseen(names[measured])
        for site in np.unique(names[measured]).tolist():
            own = np.flatnonzero(measured & (names == site))
            location, scale = self._effects(site, adjusted[own])
            adjusted[own] -= location * self.pooled_std_
            adjusted[own] /= np.sqrt(scale)
        adjusted += fitted
        return np.asarray(adjusted)

    def fit_transform(
        self, table: ArrayLike, sites: ArrayLike, covariates: ArrayLike | pd.DataFrame | None = None
    ) -> Floats:
        """Learn from a table and return it adjusted."""
        return self.fit(table, sites, covariates).transform(table, sites, covariates)

    def learned(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """Return all that was learned: what JSON can hold, and arrays by attribute.

        Examples
        --------
        >>> sites = np.repeat(["A", "B"], 5)
        >>> table = np.random.default_rng(0).normal(size=(10, 3))
        >>> model = ComBat().fit(table, sites)
        >>> again = ComBat().take(*model.learned())
        >>> bool((again.transform(table, sites) == model.transform(table, sites)).all())
        True
        """
        check_is_fitted(self, "location_")
        coded = [asdict(each) | {"known": list(each.known)} for each in self.design_.columns_]
        arrays = {name.rstrip("_"): getattr(self, name) for name in _ARRAYS}
        return {"sites": self.sites_.tolist(), "covariates": coded}, arrays

    def take(self, known: Mapping[str, Any], arrays: Mapping[str, Floats]) -> "ComBat":
        """Take what another has :meth:`learned`, in place of fitting.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing, or does not fit the rest.
        """
        self.sites_ = np.array(known["sites"], dtype=str)
        self.design_ = Design()
        self.design_.columns_ = tuple(
            _Column(**(each | {"known": tuple(each["known"])})) for each in known["covariates"]
        )
        for name in _ARRAYS:
            setattr(self, name, np.asarray(arrays[name.rstrip("_")], dtype=np.float64))
        n_sites, n_columns = self.sites_.size, self.grand_mean_.size
        self.n_features_in_ = n_columns
        shapes = [getattr(self, name).shape for name in _ARRAYS]
        by_site, coded = (n_sites, n_columns), (len(self.design_.columns_), n_columns)
        if shapes != [
            (n_columns,), (n_columns,), coded, by_site, by_site, by_site,
        ]:  # fmt: skip
            raise ValueError("the arrays of a ComBat must fit its sites and covariates")
        return self

    def _check(self) -> None:
        choices = {"adjust": ADJUST, "prior": PRIOR, "small": SMALL, "unseen": UNSEEN}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}."
                )
        if self.min_unseen < 2:
            raise ValueError(f"min_unseen must be at least 2; got {self.min_unseen}. Try 10.")

    def _refuse_small(self, sizes: NDArray[np.intp]) -> None:
        alone = self.sites_[sizes < 2].tolist()
        if alone and self.small == "fail" and self.adjust != "location":
            raise ValueError(
                "each site must have at least two training subjects for a scale of its own; got "
                f"one of {', '.join(alone[:5])}. Merge or leave out such sites, or choose "
                "small='location'."
            )

    def _refuse_unseen(self, names: NDArray[np.str_]) -> None:
        unseen, sizes = np.unique(names[~np.isin(names, self.sites_)], return_counts=True)
        if unseen.size and self.unseen == "fail":
            raise ValueError(
                f"sites must be those of training ({_some(self.sites_)}); got {_some(unseen)}. "
                "Choose unseen='as_is' (leave its effect in) or unseen='estimate' (from its own "
                "rows), or train on some of its subjects."
            )
        few = unseen[sizes < self.min_unseen]
        if few.size and self.unseen == "estimate":
            raise ValueError(
                f"an unseen site must have at least {self.min_unseen} rows to estimate its effect "
                f"from; {_some(few)} has {sizes.min()}. Give all its subjects at once, or choose "
                "unseen='as_is'."
            )

    def _learn(self, rows: Floats, of_site: Floats, z: Floats) -> None:
        """Least squares of sites and covariates, then the posterior of each site's effect."""
        lost = np.isnan(rows)
        whole = not lost.any()
        seen = np.ones((len(rows), 1)) if whole else (~lost).astype(np.float64)
        known = rows if whole else np.where(lost, 0.0, rows)
        counts = of_site.T @ seen  # (n_sites, 1 or n_columns)
        self.coefficients_, means = _least_squares(known, seen, of_site, z)
        total = np.maximum(counts.sum(axis=0), 1.0)
        self.grand_mean_ = (counts * means).sum(axis=0) / total
        residuals = known - z @ self.coefficients_
        residuals -= of_site @ means
        np.square(residuals, out=residuals)
        if not whole:
            residuals *= seen
        squares = of_site.T @ residuals
        variance = squares.sum(axis=0) / total
        flat = variance <= _FLAT * np.einsum("ij,ij->j", known, known) / total
        self.pooled_std_ = np.sqrt(np.where(flat, 1.0, variance))
        self.counts_ = np.broadcast_to(counts, means.shape).copy()
        self.location_, self.scale_ = np.zeros(means.shape), np.ones(means.shape)
        if self.sites_.size < 2:
            return
        for place, count in enumerate(self.counts_):
            self.location_[place], self.scale_[place] = self._shrunk(
                (means[place] - self.grand_mean_) / self.pooled_std_,
                squares[place] / self.pooled_std_**2,
                count,
            )

    def _shrunk(self, mean: Floats, squares: Floats, counts: Floats) -> tuple[Floats, Floats]:
        """Return location and scale of a site from its standardised mean and sum of squares."""
        spread = squares / np.maximum(counts - 1, 1.0)
        with_scale = self.adjust == "location_and_scale"
        if self.prior == "columns":
            return _posterior(mean, spread, counts, with_scale=with_scale)
        varied = (counts > 1) & (spread > _FLAT) & with_scale
        return np.where(counts > 0, mean, 0.0), np.where(varied, spread, 1.0)

    def _effects(self, site: str, residuals: Floats) -> tuple[Floats, Floats]:
        """Return location and scale of a known site, or of an unseen one by policy."""
        place = np.flatnonzero(self.sites_ == site)
        if place.size:
            return self.location_[place[0]], self.scale_[place[0]]
        n_columns = self.n_features_in_
        if self.unseen == "as_is":
            return np.zeros(n_columns), np.ones(n_columns)
        standard = residuals / self.pooled_std_
        seen = np.isfinite(standard) & (self.counts_.sum(axis=0) > 0)
        counts = seen.sum(axis=0).astype(np.float64)
        mean = np.where(seen, standard, 0.0).sum(axis=0) / np.maximum(counts, 1.0)
        away = np.where(seen, standard - mean, 0.0)
        return self._shrunk(mean, np.einsum("ij,ij->j", away, away), counts)


def _posterior(
    location: Floats, scale: Floats, counts: Floats, *, with_scale: bool
) -> tuple[Floats, Floats]:
    """Return location and scale drawn towards what the site's columns have in common.

    A column without variance in the site teaches no prior and is drawn to none.
    """
    found = np.where(counts > 0, location, 0.0)
    found_scale = np.ones_like(found)
    varied = (counts > 1) & (scale > _FLAT)
    there = varied | (counts == 1)
    full = varied if with_scale else np.zeros_like(varied)
    if there.sum() < 2:  # one column: there is nothing to share
        return found, np.where(full, scale, 1.0)
    centre, width = found[there].mean(), found[there].var(ddof=1)
    if full.any():
        found[full], found_scale[full] = _iterate(
            location[full], scale[full], counts[full], (centre, width)
        )
    rest = there & ~full
    found[rest] = (width * counts[rest] * found[rest] + centre) / (width * counts[rest] + 1)
    return found, found_scale


def _iterate(
    location: Floats, scale: Floats, counts: Floats, prior: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Posterior means of location and scale given each other, to their fixed point."""
    centre, width = prior
    mean = scale.mean()
    spread = max(scale.var(ddof=1) if scale.size > 1 else 0.0, 1e-12 * mean**2)
    shape = 2 + mean**2 / spread
    rate = mean * (shape - 1)
    new_location, new_scale = location, scale
    for _ in range(_N_ITERATIONS):
        old_location, old_scale = new_location, new_scale
        new_location = (width * counts * location + old_scale * centre) / (
            width * counts + old_scale
        )
        squares = (counts - 1) * scale + counts * (location - new_location) ** 2
        new_scale = (squares / 2 + rate) / (counts / 2 + shape - 1)
        if (
            np.abs(new_location - old_location).max() < _TOLERANCE
            and np.abs(new_scale / old_scale - 1).max() < _TOLERANCE
        ):
            break
    return new_location, new_scale


def _least_squares(
    known: Floats, seen: Floats, of_site: Floats, z: Floats
) -> tuple[Floats, Floats]:
    """Return ``(n_covariates, n_columns)`` slopes and ``(n_sites, n_columns)`` means.

    The slopes are those within sites; each column has its own normal equations, as it may have
    its own subjects. ``seen`` has one column where all are whole.
    """
    n_covariates = z.shape[1]
    own = np.maximum(of_site.T @ seen, 1.0)
    means = of_site.T @ known / own
    if not n_covariates:
        return np.zeros((0, known.shape[1])), means
    products = (z[:, :, np.newaxis] * z[:, np.newaxis, :]).reshape(len(z), -1)
    inner = (seen.T @ products).reshape(-1, n_covariates, n_covariates)
    outer = z.T @ known
    sums = [(seen[row > 0].T @ z[row > 0]).T for row in of_site.T]  # (n_covariates, 1 or columns)
    for each, count, mean in zip(sums, own, means, strict=True):
        inner -= (each[:, np.newaxis] * each / count).transpose(2, 0, 1)
        outer -= each * mean
    inverse = np.linalg.pinv(inner, rcond=1e-10, hermitian=True)
    shared = len(inverse) == 1
    slopes = inverse[0] @ outer if shared else np.einsum("cqr,rc->qc", inverse, outer)
    for place, (each, count) in enumerate(zip(sums, own, strict=True)):
        means[place] -= (each / count * slopes).sum(axis=0)
    return slopes, means


def _as_frame(covariates: Any, n_rows: int) -> pd.DataFrame:
    if covariates is None:
        return pd.DataFrame(index=range(n_rows))
    frame = pd.DataFrame(covariates).reset_index(drop=True)
    if len(frame) != n_rows:
        raise ValueError(f"covariates must have a row a subject, {n_rows}; got {len(frame)}.")
    return frame


def _checked(table: ArrayLike, sites: ArrayLike) -> tuple[Floats, NDArray[np.str_]]:
    rows = np.asarray(table, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"table must be (n_subjects, n_columns); got shape {rows.shape}.")
    if np.isinf(rows).any():
        raise ValueError("table must be finite or NaN; got an infinite value. Clip it first.")
    names = names_of(sites)
    if names.size != len(rows):
        raise ValueError(f"sites must name a site a row, {len(rows)}; got {names.size}.")
    missing = np.isin(names, MISSING)
    if missing.any():
        raise ValueError(
            f"sites must be known for every row; {missing.sum()} are missing. Fill them in, or "
            "leave those subjects out."
        )
    return rows, names


def _refuse_confounded(z: Floats, of_site: Floats, names: Iterable[str]) -> None:
    """Refuse covariates that do not vary within sites, or go with one another entirely."""
    within = z - of_site @ (of_site.T @ z / of_site.sum(axis=0)[:, np.newaxis])
    if z.shape[1] and np.linalg.matrix_rank(within, tol=1e-8 * np.sqrt(len(z))) < z.shape[1]:
        raise ValueError(
            f"covariates {', '.join(names)} must vary within sites and not repeat one "
            "another, else their effect cannot be told from the sites'. Leave one out."
        )


def _some(names: NDArray[np.str_]) -> str:
    return ", ".join(names[:5].tolist()) + (" and others" if names.size > 5 else "")
