"""All figures of the report in one place; each returns PNG bytes, the same for the same input."""

from brainnet.report.figures_anatomy import (
    atlas_overlay,
    overlay_contours,
    suvr_map,
)
from brainnet.report.figures_brain import brain_network
from brainnet.report.figures_group import (
    confusion_plot,
    roc_plot,
    score_plot,
    stage_matrices,
)
from brainnet.report.figures_network import matrix_plot, measures_plot
from brainnet.report.figures_registration import registration_check, registration_flicker
from brainnet.report.figures_signals import carpet_plot, carpet_samples, motion_plot
from brainnet.report.figures_staging import reliability_plot, stage_bars

__all__ = [
    "atlas_overlay",
    "brain_network",
    "carpet_plot",
    "carpet_samples",
    "confusion_plot",
    "matrix_plot",
    "measures_plot",
    "motion_plot",
    "overlay_contours",
    "registration_check",
    "registration_flicker",
    "reliability_plot",
    "roc_plot",
    "score_plot",
    "stage_bars",
    "stage_matrices",
    "suvr_map",
]
