"""How central each region is when influence passes along all layers and between them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics.centrality import eigenvector_centrality
from brainnet.metrics.multiplex._layers import check_layers


def eigenvector_versatility(weights: ArrayLike, *, coupling: float = 1.0) -> NDArray[np.float64]:
    r"""Return the eigenvector centrality of each region, added up over the joined layers.

    .. math:: \sum_j w_{ij}^{[\alpha]} v_j^{[\alpha]} + \omega \sum_{\beta \ne \alpha}
              v_i^{[\beta]} = \lambda_{\max} v_i^{[\alpha]}, \quad
              \sum_{i \alpha} (v_i^{[\alpha]})^2 = 1, \quad V_i = \sum_\alpha v_i^{[\alpha]}

    Each region is joined to itself in every other layer with the weight :math:`\omega`. (The
    centrality of the layers laid on top of one another is
    ``eigenvector_centrality(weights.sum(axis=-3))``.)

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    coupling : float, optional
        The weight of the edges between layers, non-negative, in units of ``weights``.

    Returns
    -------
    (..., n_regions) array
        Non-negative. Where several eigenvectors share the largest eigenvalue, of the projection
        of the constant vector on them. NaN without edges and with a coupling of 0, or one layer.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric, has a negative entry or
        holds NaN, or ``coupling`` is negative or not finite.

    References
    ----------
    De Domenico, Solé-Ribalta, Omodei, Gómez and Arenas (2015), Nat Commun 6:6868.

    Examples
    --------
    >>> star, path = [[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    >>> eigenvector_versatility([star, path]).round(4)
    array([0.8723, 0.8723, 0.6828])
    """
    checked = check_layers(weights)
    if not (np.isfinite(coupling) and coupling >= 0):
        raise ValueError(
            f"coupling must be non-negative and finite; got {coupling!r}. The usual value is 1."
        )
    n_layers, n_regions = checked.shape[-3:-1]
    supra = np.zeros((*checked.shape[:-3], n_layers, n_regions, n_layers, n_regions))
    region = np.arange(n_regions)
    for i in range(n_layers):
        for j in range(n_layers):
            if i == j:
                supra[..., i, :, i, :] = checked[..., i, :, :]
            else:
                supra[..., i, region, j, region] = coupling
    flat = supra.reshape(*checked.shape[:-3], n_layers * n_regions, n_layers * n_regions)
    vector = eigenvector_centrality(flat)
    return np.asarray(vector.reshape(checked.shape[:-1]).sum(axis=-2))
