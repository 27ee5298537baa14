"""The one number a subject that an explanation is about, of the probabilities of its stages."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from brainnet.cohort.stages import SEVERITY

__all__ = ["Target"]


@dataclass(frozen=True, eq=False)
class Target:
    r"""What is explained: a number a subject, of the probabilities an estimator gives.

    ``severity`` is the expected stage :math:`\sum_k k\,p_k`, in stages above the mildest, for
    classes that have an order; a stage's name is its probability; two names, ``AD/CN``, the
    logarithm of the ratio of their probabilities (for a softmax, the difference of the logits),
    which does not flatten out where a model is sure; ``extremes`` that of the most severe and the
    mildest stage; ``own`` the probability of each subject's own stage.

    Attributes
    ----------
    name : str
    classes : tuple of str
        The stages in the order of the probabilities' columns.
    weights : (n_stages,) array
        Of the probabilities (of their logarithms for a ratio); ignored for ``own``.
    unit : str
        What a difference of it is counted in: ``stages``, ``probability`` or ``nats``.
    """

    name: str
    classes: tuple[str, ...]
    weights: NDArray[np.float64]
    unit: str

    @classmethod
    def of(cls, name: str, classes: ArrayLike) -> "Target":
        """Return the target of a name.

        Parameters
        ----------
        name : str
            ``extremes``, ``severity``, ``own``, a stage, or two stages with a stroke between.
        classes : (n_stages,) array
            As the estimator's ``classes_``.

        Raises
        ------
        ValueError
            A stage that the estimator does not know; ``severity`` or ``extremes`` of classes
            without an order.

        Examples
        --------
        >>> Target.of("severity", ["AD", "CN", "EMCI"]).weights
        array([2., 0., 1.])
        >>> Target.of("extremes", ["AD", "CN", "EMCI"]).name
        'AD/CN'
        """
        known = tuple(str(each) for each in np.asarray(classes).tolist())
        if name == "severity":
            return cls(name, known, _ranks(name, known), "stages")
        if name == "extremes":
            ranks = _ranks(name, known)
            name = f"{known[int(ranks.argmax())]}/{known[int(ranks.argmin())]}"
        if name == "own":
            return cls(name, known, np.zeros(len(known)), "probability")
        asked = name.split("/") if name not in known else [name]
        unknown = [each for each in asked if each not in known]
        if unknown or len(asked) > 2 or len(set(asked)) < len(asked):
            raise ValueError(
                "target must be 'extremes', 'severity', 'own', a stage of "
                f"{', '.join(known)}, or two of them as '{known[-1]}/{known[0]}'; got {name!r}."
            )
        weights = np.zeros(len(known))
        weights[known.index(asked[0])] = 1.0
        if len(asked) == 2:
            weights[known.index(asked[1])] = -1.0
        return cls(name, known, weights, "nats" if len(asked) == 2 else "probability")

    def __call__(self, probabilities: Tensor, own: Tensor) -> Tensor:
        """Return the number of each subject.

        Parameters
        ----------
        probabilities : (n_subjects, n_stages) tensor
        own : (n_subjects,) tensor of int
            Column of each subject's own stage; looked at for ``own`` only.

        Examples
        --------
        >>> target = Target.of("severity", ["CN", "EMCI", "AD"])
        >>> target(torch.tensor([[0.0, 0.5, 0.5]]), torch.tensor([0]))
        tensor([1.5000])
        """
        if self.name == "own":
            return probabilities.gather(1, own[:, None])[:, 0]
        weights = torch.as_tensor(self.weights, dtype=probabilities.dtype)
        if self.unit == "nats":
            tiny = torch.finfo(probabilities.dtype).tiny
            return probabilities.clamp_min(tiny).log() @ weights
        return probabilities @ weights

    def columns(self, stages: ArrayLike | None, n_subjects: int) -> Tensor:
        """Return the column of each subject's own stage; zeros where it is not needed.

        Raises
        ------
        ValueError
            ``own`` is asked for and the stages are not given, or are not the estimator's.
        """
        if self.name != "own":
            return torch.zeros(n_subjects, dtype=torch.int64)
        if stages is None:
            raise ValueError("stages must be given for target 'own'; got none. Name a stage.")
        return torch.from_numpy(columns_of(stages, self.classes))


def columns_of(stages: ArrayLike, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of each subject's stage among the classes, or say which is not there.

    Examples
    --------
    >>> columns_of(["AD", "CN"], ["CN", "AD"])
    array([1, 0])
    """
    labels = [str(each) for each in np.asarray(stages).tolist()]
    strange = sorted(set(labels) - set(classes))
    if strange:
        raise ValueError(
            f"stages must be of {', '.join(classes)}, which the estimator knows; got "
            f"{', '.join(strange)}. Leave these subjects out."
        )
    return np.array([list(classes).index(each) for each in labels], dtype=np.int64)


def _ranks(name: str, classes: tuple[str, ...]) -> NDArray[np.float64]:
    """Return how far each class is from the mildest, in classes."""
    if set(classes) <= set(SEVERITY):
        ordered = sorted(classes, key=SEVERITY.index)
    elif all(_is_number(each) for each in classes):
        ordered = sorted(classes, key=float)
    elif len(classes) == 2:
        ordered = list(classes)
    else:
        raise ValueError(
            f"target {name!r} must have classes in an order ({', '.join(SEVERITY)}, or numbers); "
            f"got {', '.join(classes)}. Name one of them, or two as "
            f"'{classes[-1]}/{classes[0]}'."
        )
    return np.array([ordered.index(each) for each in classes], dtype=np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
