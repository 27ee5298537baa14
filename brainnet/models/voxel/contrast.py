"""Draw the brightness of every tissue: a contrast like a known one, or like none."""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from brainnet.models.voxel.labels import MAX_SOURCE, RIGHT_OF

__all__ = ["CONTRASTS", "TISSUE_OF", "draw_contrast"]

_LEFT = {
    **dict.fromkeys((2, 7), "white matter"),
    **dict.fromkeys((3, 8), "cortex"),
    **dict.fromkeys((11, 12, 17, 18, 26), "deep grey"),
    10: "thalamus",
    13: "pallidum",
    **dict.fromkeys((16, 28), "brain-stem"),
    **dict.fromkeys((4, 5, 14, 15, 24, 72, 512), "fluid"),
    **dict.fromkeys((136, 137), "plexus"),
    25: "lesion",
    **dict.fromkeys((30, 514), "vessel"),
    **dict.fromkeys((85, 530), "white matter"),
    506: "eye",
    **dict.fromkeys((508, 515), "bone"),
    516: "marrow",
    **dict.fromkeys((502, 507), "muscle"),
    **dict.fromkeys((509, 511), "skin"),
}
#: Kind of tissue of each number in the label maps. FreeSurfer's names up to 499; those above 500,
#: outside the brain, were told from where they lie.
TISSUE_OF: Mapping[int, str] = _LEFT | {right: _LEFT[left] for left, right in RIGHT_OF.items()}

_SOFT = {"eye": (0.1, 0.3), "bone": (0.02, 0.2), "skin": (0.4, 1.2), "vessel": (0.05, 1.0)}

#: Range of the mean brightness of each kind of tissue, white matter of a T1w image about 0.85.
CONTRASTS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "T1w": _SOFT
    | {
        "white matter": (0.75, 0.95),
        "cortex": (0.48, 0.68),
        "deep grey": (0.52, 0.7),
        "thalamus": (0.58, 0.78),
        "pallidum": (0.66, 0.88),
        "brain-stem": (0.68, 0.9),
        "fluid": (0.08, 0.28),
        "plexus": (0.2, 0.5),
        "lesion": (0.45, 0.8),
        "marrow": (0.2, 1.1),
        "muscle": (0.3, 0.65),
    },
    "T2w": _SOFT
    | {
        "white matter": (0.28, 0.45),
        "cortex": (0.42, 0.62),
        "deep grey": (0.36, 0.55),
        "thalamus": (0.35, 0.52),
        "pallidum": (0.2, 0.4),
        "brain-stem": (0.3, 0.46),
        "fluid": (0.8, 1.1),
        "plexus": (0.6, 1.0),
        "lesion": (0.5, 0.8),
        "eye": (0.7, 1.1),
        "marrow": (0.2, 0.8),
        "muscle": (0.12, 0.4),
    },
    "FLAIR": _SOFT
    | {
        "white matter": (0.42, 0.6),
        "cortex": (0.56, 0.76),
        "deep grey": (0.5, 0.7),
        "thalamus": (0.48, 0.66),
        "pallidum": (0.35, 0.55),
        "brain-stem": (0.44, 0.62),
        "fluid": (0.05, 0.22),
        "plexus": (0.4, 0.9),
        "lesion": (0.75, 1.1),
        "marrow": (0.2, 0.9),
        "muscle": (0.15, 0.45),
    },
    "PDw": _SOFT
    | {
        "white matter": (0.55, 0.7),
        "cortex": (0.68, 0.85),
        "deep grey": (0.65, 0.82),
        "thalamus": (0.62, 0.78),
        "pallidum": (0.5, 0.7),
        "brain-stem": (0.56, 0.72),
        "fluid": (0.7, 1.0),
        "plexus": (0.7, 1.0),
        "lesion": (0.75, 0.95),
        "marrow": (0.3, 0.9),
        "muscle": (0.35, 0.6),
    },
    "CT": {  # a window of 0 to 100 HU and its surroundings
        "white matter": (0.24, 0.32),
        "cortex": (0.33, 0.43),
        "deep grey": (0.33, 0.43),
        "thalamus": (0.31, 0.4),
        "pallidum": (0.3, 0.45),
        "brain-stem": (0.26, 0.36),
        "fluid": (0.0, 0.15),
        "plexus": (0.1, 0.8),
        "lesion": (0.15, 0.26),
        "vessel": (0.35, 0.7),
        "eye": (0.05, 0.2),
        "bone": (0.9, 1.6),
        "marrow": (0.7, 1.4),
        "muscle": (0.3, 0.6),
        "skin": (-0.1, 0.5),
    },
    "PET": {  # FDG-like: grey matter takes up most
        "white matter": (0.25, 0.5),
        "cortex": (0.75, 1.0),
        "deep grey": (0.75, 1.1),
        "thalamus": (0.75, 1.05),
        "pallidum": (0.5, 0.8),
        "brain-stem": (0.4, 0.65),
        "fluid": (0.03, 0.2),
        "plexus": (0.1, 0.4),
        "lesion": (0.2, 0.5),
        "vessel": (0.1, 0.5),
        "eye": (0.05, 0.3),
        "bone": (0.03, 0.2),
        "marrow": (0.05, 0.4),
        "muscle": (0.1, 0.5),
        "skin": (0.05, 0.3),
    },
}


def draw_contrast(
    twin_of: Tensor, generator: Generator, *, contrast: str | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the mean and the spread of the brightness of every source number.

    Parameters
    ----------
    twin_of : (MAX_SOURCE,) int64 tensor
        The number whose draw a number shares (:attr:`LabelTable.twin_of`).
    generator : torch.Generator
        Decides the draw; on the CPU.
    contrast : str, optional
        A key of `CONTRASTS`, whose ranges are drawn from; ``None`` draws every number alone and
        uniformly from [0, 1), so that any tissue can be the brightest.

    Returns
    -------
    mean, spread : (MAX_SOURCE,) float32 tensors
        ``spread`` is the standard deviation of the texture in a voxel of 2 mm. Background is 0,
        or in one image of four any brightness below 0.3 (not after a CT).

    Raises
    ------
    ValueError
        If ``contrast`` is not a key of `CONTRASTS`.

    References
    ----------
    Billot et al. (2023), SynthSeg, Med Image Anal 86:102789 (uniform draws).

    Examples
    --------
    >>> from brainnet.models.voxel.labels import load_labels
    >>> twin_of = load_labels("brain").twin_of
    >>> mean, _ = draw_contrast(twin_of, torch.Generator().manual_seed(0), contrast="T1w")
    >>> bool(mean[2] > mean[3] > mean[24]), bool(mean[41] == mean[2])
    (True, True)
    """
    if contrast is not None and contrast not in CONTRASTS:
        raise ValueError(f"contrast must be one of {', '.join(CONTRASTS)}; got {contrast!r}.")
    share = torch.rand(MAX_SOURCE, generator=generator)
    spread = torch.rand(MAX_SOURCE, generator=generator) * 0.08
    mean = share.clone()
    if contrast is not None:
        ranges = CONTRASTS[contrast]
        common = {kind: torch.rand((), generator=generator) for kind in ranges}
        for number, kind in TISSUE_OF.items():
            low, high = ranges[kind]
            place = 0.75 * common[kind] + 0.25 * share[number]  # one kind, nearly one brightness
            mean[number] = low + (high - low) * place
    noisy_air = torch.rand((), generator=generator) < 0.25 and contrast != "CT"
    mean[0] = mean[0] * 0.3 if noisy_air else 0.0
    spread[0] = spread[0] if noisy_air else 0.0
    return mean[twin_of], spread[twin_of]
