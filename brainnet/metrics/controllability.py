r"""How well a region, driven alone, can move the whole network's activity.

Activity follows :math:`x(t + 1) = A\, x(t) + e_i\, u(t)`, the weights being scaled to be stable:
:math:`A = W / (1 + \max_k |\lambda_k(W)|)`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_weights


def average_controllability(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return how far, on average, a unit of energy put into each region moves the network.

    .. math:: C_i = \operatorname{tr} \sum_{t=0}^\infty A^t e_i e_i^\top A^t
                  = \bigl[(I - A^2)^{-1}\bigr]_{ii}

    the trace of the controllability Gramian of region i, in its closed form for symmetric A.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal; a structural network, as a rule. The scale matters: it
        is that of the time step (see A above).

    Returns
    -------
    (..., n_regions) array
        At least 1, the value of an isolated region. High for hubs, which move the network to
        many states near by.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, or holds NaN.

    References
    ----------
    Gu et al. (2015), Nat Commun 6:8414; Parkes et al. (2024), Nat Protoc 19:3721-3749 (nctpy).

    Examples
    --------
    >>> average_controllability([[0, 1], [1, 0]]).round(4)
    array([1.3333, 1.3333])
    """
    values, vectors = np.linalg.eigh(check_weights(weights, signed=True))
    scaled = values / (1 + np.abs(values).max(axis=-1, keepdims=True))
    return np.asarray((vectors**2 @ (1 / (1 - scaled**2))[..., None])[..., 0])


def modal_controllability(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return how well each region controls all modes of the network, fast ones above all.

    .. math:: \phi_i = \sum_j (1 - \lambda_j^2(A))\, v_{ij}^2 = 1 - \sum_j A_{ij}^2

    with the eigenvectors :math:`v_j` of A. The second form follows from the first, as the
    eigenvectors are orthonormal.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal; a structural network, as a rule. The scale matters: it
        is that of the time step (see A above).

    Returns
    -------
    (..., n_regions) array
        Above 0 and at most 1, the value of an isolated region. High for weakly connected regions,
        which move the network to states that are hard to reach.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, or holds NaN.

    References
    ----------
    Pasqualetti et al. (2014), IEEE Trans Control Netw Syst 1:40-52; Gu et al. (2015), Nat Commun
    6:8414.

    Examples
    --------
    >>> modal_controllability([[0, 1], [1, 0]])
    array([0.75, 0.75])
    """
    checked = check_weights(weights, signed=True)
    largest = np.abs(np.linalg.eigvalsh(checked)).max(axis=-1)
    system = checked / (1 + largest[..., None, None])
    return np.asarray(1 - (system**2).sum(axis=-1))
