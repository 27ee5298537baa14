"""Several networks as one: their outputs averaged, and corrected on subjects they never saw."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from brainnet.models.core.networks import build_network
from brainnet.models.graph.brains import Brains
from brainnet.models.graph.heads import Head

__all__ = ["Committee", "NamedCommittee", "calibrate"]

_HOLD = 1e-3  # penalty that keeps a correction finite where the stages part without an error


class Committee(nn.Module):
    r"""Average the outputs of several networks, then scale and shift them.

    .. math:: o = s \, \frac{1}{n} \sum_i o_i + t

    Parameters
    ----------
    members : iterable of torch.nn.Module
        One or more, each giving ``(n_subjects, n_outputs)``.
    n_outputs : int

    Raises
    ------
    ValueError
        There is no member.

    Examples
    --------
    >>> committee = Committee([nn.Identity(), nn.Identity()], 2)
    >>> committee.correct(torch.tensor(2.0), torch.tensor([0.0, 1.0]))
    >>> committee(torch.ones(1, 2))
    tensor([[2., 3.]])
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, members: Iterable[nn.Module], n_outputs: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        if not len(self.members):
            raise ValueError("members must be one or more; got none.")
        self.register_buffer("scale", torch.ones(1))
        self.register_buffer("shift", torch.zeros(n_outputs))

    def correct(self, scale: Tensor, shift: Tensor) -> None:
        """Take a correction, such as :func:`calibrate` finds."""
        self.scale.fill_(scale.item())
        self.shift.copy_(shift)

    def forward(self, brains: Brains) -> Tensor:
        """Return the outputs ``(n_subjects, n_outputs)`` of a batch of subjects."""
        outputs = torch.stack([member(brains) for member in self.members]).mean(dim=0)
        return self.scale * outputs + self.shift


class NamedCommittee(Committee):
    """A committee of one kind of network with fresh weights, as a model card names it.

    Parameters
    ----------
    network : str
        A key of :data:`~brainnet.models.core.networks.NETWORKS`.
    n_members, n_outputs : int
    **options
        Of the network.
    """

    def __init__(self, *, network: str, n_members: int, n_outputs: int, **options: Any) -> None:
        made = options | {"n_outputs": n_outputs}
        super().__init__((build_network(network, made) for _ in range(n_members)), n_outputs)


def calibrate(
    outputs: Tensor, targets: Tensor, head: Head, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the scale and shift of outputs that give the least loss.

    A network fits the subjects it learned from better than others: what it says of others is too
    sure, and its thresholds lie where nobody does. Outputs for subjects that it did not learn
    from say by how much.

    Parameters
    ----------
    outputs : (n_subjects, n_outputs) tensor
        Each for a subject that took no part in the training of what gave it.
    targets : (n_subjects, ...) tensor
        As the head takes them.
    head : Head
    weights : (n_stages,) tensor
        As the head takes them.

    Returns
    -------
    scale : (1,) float64 tensor
        Positive.
    shift : (n_outputs,) float64 tensor

    Examples
    --------
    >>> from brainnet.models.graph.heads import Categorical
    >>> sure = torch.tensor([[8.0, 0.0]] * 4 + [[0.0, 8.0]] * 4)
    >>> right_in_3_of_4 = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])
    >>> scale, _ = calibrate(sure, right_in_3_of_4, Categorical(), torch.ones(2))
    >>> torch.softmax(scale * sure[:1], dim=1).round(decimals=2)
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """
    given, balance = outputs.detach().double(), weights.double()
    log_scale = given.new_zeros(1, requires_grad=True)
    shift = given.new_zeros(given.shape[1], requires_grad=True)
    search = torch.optim.LBFGS([log_scale, shift], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        held = _HOLD * (log_scale.square().sum() + shift.square().mean() / 10)
        value = head.loss(log_scale.exp() * given + shift, targets, balance) + held
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    return log_scale.detach().exp(), shift.detach()
