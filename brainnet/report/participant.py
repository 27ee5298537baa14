"""One self-contained HTML page for one participant's session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from brainnet.report.page import Figure, Methods, Notice, Section, Table, render_page

__all__ = ["Figure", "Methods", "Notice", "Section", "Table", "participant_page"]


def participant_page(
    *,
    subject: str,
    session: str | None,
    summary: Mapping[str, object],
    sections: Sequence[Section],
    warnings: Sequence[str | Notice],
    methods: Methods,
    provenance: Mapping[str, object],
    simulated: bool = False,
) -> str:
    """Return the page of one participant.

    Parameters
    ----------
    subject : str
        Label without ``sub-``.
    session : str or None
        Label without ``ses-``; None where the dataset has no sessions.
    summary : mapping
        Name to value (text, number, NaN), shown as tiles at the top.
    sections : sequence of Section
        One a modality, and whatever else; a modality that was not acquired stays as
        ``Section(title, missing="why")``.
    warnings : sequence of str or Notice
        Shown in a box near the top, each different one once.
    methods : Methods
        From `brainnet.report.methods.methods_text`.
    provenance : mapping
        Name to value: versions, seed, hashes; no dates or durations.
    simulated : bool
        True if all data are simulated. Where only some are, set ``Figure(simulated=True)``.

    Returns
    -------
    str
        HTML for `brainnet.io.save_text`; the same arguments give the same string.

    Raises
    ------
    ValueError
        If a figure is not a PNG.

    Examples
    --------
    >>> page = participant_page(subject="01", session=None, summary={"Age": 70}, sections=[],
    ...                         warnings=[], methods=Methods(""), provenance={})
    >>> page.startswith("<!DOCTYPE html>"), "sub-01" in page
    (True, True)
    """
    title = f"sub-{subject}" + (f", ses-{session}" if session is not None else "")
    return render_page(
        title,
        kind="participant",
        summary=summary,
        sections=sections,
        warnings=warnings,
        methods=methods,
        provenance=provenance,
        simulated=simulated,
    )
