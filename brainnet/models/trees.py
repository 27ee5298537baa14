"""Ensembles of trees on what regions and networks measure."""

from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from brainnet.models.stages import StagePipeline
from brainnet.models.tables import MedianFill, QuantileBins, RegionTable, SeenColumns

__all__ = ["region_boosting", "region_forest"]


def region_forest(*, seed: int = 0) -> StagePipeline:
    """Return a random forest on network measures and regional values.

    It sees the measures of each region and of each network, and volume and SUVR of each region
    (:class:`~brainnet.models.tables.RegionTable`); unmeasured ones are filled by the training
    medians. Stages are weighted to equal shares in each tree.

    Parameters
    ----------
    seed : int
        Decides which subjects and columns each tree sees.

    References
    ----------
    Breiman (2001), Random forests, Mach Learn 45:5.

    Examples
    --------
    >>> [name for name, _ in region_forest().steps]
    ['regions', 'fill', 'classify']
    """
    forest = RandomForestClassifier(
        n_estimators=300, min_samples_leaf=5, class_weight="balanced_subsample", random_state=seed
    )
    return StagePipeline([("regions", RegionTable()), ("fill", MedianFill()), ("classify", forest)])


def region_boosting(*, seed: int = 0) -> StagePipeline:
    """Return gradient-boosted trees on network measures and regional values.

    It sees what :func:`region_forest` sees; a tree learns on which side of a split the unmeasured
    belong. Trees are many, small and slow learners: there is no early stopping, so nothing is
    held out. Columns are sorted into 32 bins over the training subjects.

    Parameters
    ----------
    seed : int
        Decides which columns each split may use.

    References
    ----------
    Friedman (2001), Greedy function approximation: a gradient boosting machine, Ann Stat 29:1189.

    Examples
    --------
    >>> [name for name, _ in region_boosting().steps]
    ['regions', 'seen', 'bins', 'classify']
    """
    boosting = HistGradientBoostingClassifier(
        learning_rate=0.1,
        max_iter=100,
        max_leaf_nodes=4,
        min_samples_leaf=5,
        max_bins=32,
        max_features=0.2,
        early_stopping=False,
        class_weight="balanced",
        random_state=seed,
    )
    return StagePipeline(
        [
            ("regions", RegionTable()),
            ("seen", SeenColumns()),
            ("bins", QuantileBins(n_bins=32)),
            ("classify", boosting),
        ]
    )
