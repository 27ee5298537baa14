"""Leave-site-out: how well models do at a site that they never saw."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brainnet.evaluate.folds import Split, counted, some

__all__ = ["LeaveSiteOut"]

Labels = NDArray[np.str_]


@dataclass(frozen=True)
class LeaveSiteOut:
    """Test each site by models that were trained at all others.

    The question that a model for other hospitals has to answer; folds within sites
    (:class:`brainnet.evaluate.Folds`) do not ask it. Who was seen at two sites is tested at both,
    and trains for neither.

    Parameters
    ----------
    min_participants : int
        A site with fewer is an error: nobody can say from one participant how well a model does
        at a site. With 1 such sites are tested as they are, and count by their participants.

    Raises
    ------
    ValueError
        From :meth:`split`: sites not known, or of some subjects only; fewer than two sites; a
        site with fewer than ``min_participants``; a stage that is seen at one site only, so that
        nothing can be learned of it elsewhere.

    Warns
    -----
    UserWarning
        A site with participants of one stage only.

    Examples
    --------
    >>> labels, people = np.array(["CN", "AD"] * 4), np.arange(8).astype(str)
    >>> sites = np.array(["Rome"] * 4 + ["Oslo"] * 4)
    >>> [each.test.tolist() for each in LeaveSiteOut().split(labels, people, sites)]
    [[4, 5, 6, 7], [0, 1, 2, 3]]
    """

    min_participants: int = 2

    def split(self, labels: Labels, participants: Labels, sites: Labels | None) -> list[Split]:
        """Return a split a site, in the order of their names."""
        names = self._checked(labels, participants, sites)
        found = []
        for fold, name in enumerate(names):
            test = np.flatnonzero(sites == name)
            train = np.flatnonzero(~np.isin(participants, participants[test]))
            found.append(Split(0, fold, train, test))
            lost = sorted(set(labels.tolist()) - set(labels[train].tolist()))
            if lost:
                raise ValueError(
                    f"leave-site-out needs every stage at two sites or more; without site {name} "
                    f"nobody is left to learn {some(lost)} from. Leave that stage out, or split "
                    "within sites with brainnet.evaluate.Folds."
                )
        return found

    def _checked(self, labels: Labels, participants: Labels, sites: Labels | None) -> list[str]:
        if sites is None:
            raise ValueError(
                "leave-site-out needs the site of every subject; got none. Add a column 'site' to "
                "the participants table, or to the covariates of Subjects."
            )
        unknown = sorted(set(participants[sites == "n/a"].tolist()))
        if unknown:
            raise ValueError(
                f"leave-site-out needs the site of every subject; it is not known of "
                f"{some(unknown)}. Fill in the column 'site', or leave these subjects out."
            )
        counts = counted(sites, participants)
        if len(counts) < 2:
            raise ValueError(
                f"leave-site-out needs two sites or more; got {some(list(counts))} only. Split "
                "with brainnet.evaluate.Folds (without --leave-site-out)."
            )
        small = [f"{name} {n}" for name, n in counts.items() if n < self.min_participants]
        if small:
            raise ValueError(
                f"every site left out must have at least {self.min_participants} participants to "
                f"say something about it; got {some(small)}. Merge small sites (by scanner, say), "
                "leave them out, or take LeaveSiteOut(min_participants=1) to test them as they are."
            )
        self._tell_of_one_stage(labels, sites, list(counts))
        return list(counts)

    @staticmethod
    def _tell_of_one_stage(labels: Labels, sites: Labels, names: list[str]) -> None:
        found = {name: np.unique(labels[sites == name]) for name in names}
        alone = [f"{name} ({stages[0]})" for name, stages in found.items() if stages.size == 1]
        if alone:
            warnings.warn(
                f"sites with participants of one stage only: {some(alone)}. Stages cannot be told "
                "apart within them, and where a site goes with a stage a model may learn the "
                "scanner for the disease. Look at the scores without them, too.",
                UserWarning,
                stacklevel=6,
            )
