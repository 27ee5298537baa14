"""The parts of a report page, and their assembly to one self-contained HTML string."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainnet._version import __version__

__all__ = ["Figure", "Methods", "Notice", "Section", "Table", "render_page"]

TEMPLATES = Path(__file__).parent / "templates"
LONG_TABLE = 20


@dataclass(frozen=True)
class Figure:
    """One picture with its caption.

    Attributes
    ----------
    png : bytes
        The picture, from `brainnet.report.figures`.
    caption : str
        What is shown and how to read it; plain text.
    alt : str
        Description for those who do not see it; the caption where empty.
    after : bytes, optional
        A second picture of the same size: the reader flicks between the two.
    labels : pair of str
        What ``png`` and ``after`` are called on the switch.
    simulated : bool
        Marks picture and caption, and the page's banner names the section.
    """

    png: bytes
    caption: str
    alt: str = ""
    after: bytes | None = None
    labels: tuple[str, str] = ("fixed", "moving")
    simulated: bool = False


@dataclass(frozen=True, eq=False)
class Table:
    """One table with its title.

    Attributes
    ----------
    title : str
        What the rows are.
    frame : DataFrame
        Shown without its index; numbers to ``digits`` significant digits, NaN as 'n/a'. Above
        ``longest`` rows the table is folded.
    note : str
        Unit, source or reading aid, below the table.
    digits : int
        Significant digits of floating point numbers.
    longest : int
        Rows above which it is folded.
    """

    title: str
    frame: pd.DataFrame
    note: str = ""
    digits: int = 3
    longest: int = LONG_TABLE


@dataclass(frozen=True, eq=False)
class Section:
    """One part of a page with a line in the table of contents.

    Attributes
    ----------
    title : str
        Heading.
    intro : str
        Plain text; blank lines part paragraphs.
    figures, tables : sequences
        Shown in order, figures first.
    missing : str
        Why there is nothing: for a modality that was not acquired. The section is kept, and
        marked in the contents, so that its absence is seen.
    lead : bool
        To be read first: its text stands in a box above the warnings, without a heading.
    """

    title: str
    intro: str = ""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    missing: str = ""
    lead: bool = False


@dataclass(frozen=True)
class Notice:
    """A warning to the reader: what happened, what follows from it, what to do, and where."""

    what: str
    consequence: str = ""
    remedy: str = ""
    where: str = ""


@dataclass(frozen=True)
class Methods:
    """Methods in words, with ``[n]`` for the n-th citation (from 1)."""

    text: str
    citations: Sequence[str] = field(default_factory=tuple)


def _data_uri(png: bytes) -> str:
    """Return the picture as a data address; nothing else is accepted."""
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(
            f"png must be the bytes of a PNG picture; got {png[:8]!r}. "
            "Use the functions of brainnet.report.figures."
        )
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png_size(png: bytes) -> tuple[int, int]:
    """Return width and height in pixels from the header."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _cell(value: Any, digits: int) -> dict[str, Any]:
    """Return a table cell: its text, its class, and the number to sort by."""
    if (
        value is None
        or value is pd.NA
        or (isinstance(value, float | np.floating) and value != value)
    ):
        return {"text": "n/a", "kind": "none", "sort": ""}
    if isinstance(value, bool | np.bool_):
        return {"text": "yes" if value else "no", "kind": "text", "sort": ""}
    if isinstance(value, int | np.integer):
        return {"text": f"{value:d}", "kind": "number", "sort": f"{value:d}"}
    if isinstance(value, float | np.floating):
        return {"text": _number(float(value), digits), "kind": "number", "sort": repr(float(value))}
    return {"text": str(value), "kind": "text", "sort": ""}


def _number(value: float, digits: int) -> str:
    """Return a number to that many significant digits, without an exponent where it is short."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e6:
        places = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
        return f"{value:.{places}f}"
    return f"{value:.{digits}g}"


def _table_view(table: Table) -> dict[str, Any]:
    """Return what the template needs of a table."""
    rows = [
        [_cell(value, table.digits) for value in row]
        for row in table.frame.astype(object).itertuples(index=False, name=None)
    ]
    columns = [str(name).replace("_", " ") for name in table.frame.columns]
    numeric = [any(row[k]["kind"] == "number" for row in rows) for k in range(len(columns))]
    for row in rows:
        for cell, number in zip(row, numeric, strict=True):
            cell["kind"] += " number" if number and cell["kind"] == "none" else ""
    return {
        "title": table.title,
        "note": table.note,
        "heads": list(zip(columns, numeric, strict=True)),
        "rows": rows,
        "folded": len(rows) > table.longest,
    }


def _figure_view(figure: Figure, number: int, *, simulated: bool) -> dict[str, Any]:
    """Return what the template needs of a figure."""
    width, height = _png_size(figure.png)
    return {
        "number": number,
        "uri": _data_uri(figure.png),
        "after": _data_uri(figure.after) if figure.after is not None else "",
        "labels": figure.labels,
        "width": width,
        "height": height,
        "caption": figure.caption,
        "alt": figure.alt or figure.caption,
        "simulated": simulated or figure.simulated,
    }


def _section_views(sections: Sequence[Section], *, simulated: bool) -> list[dict[str, Any]]:
    """Return what the template needs of the sections, with figures numbered through the page."""
    views, number = [], 0
    for place, section in enumerate(sections, start=1):
        figures = []
        for figure in section.figures:
            number += 1
            figures.append(_figure_view(figure, number, simulated=simulated))
        views.append(
            {
                "id": f"section-{place}",
                "title": section.title,
                "paragraphs": _paragraphs(section.intro),
                "figures": figures,
                "tables": [_table_view(table) for table in section.tables],
                "missing": section.missing,
                "lead": section.lead,
                "simulated": any(figure["simulated"] for figure in figures),
            }
        )
    return views


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text: parts between blank lines."""
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def _notice_views(warnings: Sequence[str | Notice]) -> list[dict[str, Any]]:
    """Return each different warning once with how often it came, in order."""
    counts: dict[Notice, int] = {}
    for item in warnings:
        notice = item if isinstance(item, Notice) else Notice(str(item))
        counts[notice] = counts.get(notice, 0) + 1
    return [{"notice": notice, "count": count} for notice, count in counts.items()]


def _linked(text: str) -> Any:
    """Return escaped text whose ``[n]`` lead to the reference list."""
    from markupsafe import Markup, escape

    linked = re.sub(
        r"\[(\d+(?:, ?\d+)*)\]",
        lambda m: "[" + re.sub(r"\d+", r'<a href="#ref-\g<0>">\g<0></a>', m[1]) + "]",
        str(escape(text)),
    )
    return Markup(linked)  # escaped above: only our own links are markup


def _banner(views: Sequence[Mapping[str, Any]], *, simulated: bool) -> str:
    """Return the words of the banner; empty where nothing is simulated."""
    if simulated:
        return "Nothing on this page was measured in a person."
    places = [str(view["title"]) for view in views if view["simulated"]]
    return f"Made up by the program, not measured: {', '.join(places)}." if places else ""


def render_page(
    title: str,
    *,
    kind: str,
    summary: Mapping[str, object],
    sections: Sequence[Section],
    warnings: Sequence[str | Notice],
    methods: Methods,
    provenance: Mapping[str, object],
    simulated: bool,
) -> str:
    """Return a whole page; `participant_page` and `group_page` are thin over this.

    Parameters
    ----------
    title : str
        Heading and title of the document.
    kind : str
        Word above the heading, also the name of the template.
    summary : mapping
        Name to value, shown as tiles.
    sections : sequence of Section
        In order of reading.
    warnings : sequence of str or Notice
        Shown in a box near the top, each different one once.
    methods : Methods
        Text and citations.
    provenance : mapping
        Name to value at the end: versions, hashes, seed. No dates or durations, which would
        change the bytes of equal results.
    simulated : bool
        True if all data are simulated: a banner at the top, a mark on every figure.

    Returns
    -------
    str
        HTML with style and pictures inside; it asks nothing of the network and needs no
        script. The same arguments give the same string.

    Raises
    ------
    ValueError
        If a figure is not a PNG.

    Examples
    --------
    >>> page = render_page("A & B", kind="participant", summary={}, sections=[], warnings=[],
    ...                    methods=Methods(""), provenance={}, simulated=False)
    >>> "<h1>A &amp; B</h1>" in page
    True
    """
    views = _section_views(sections, simulated=simulated)
    return str(
        _template(kind).render(
            title=title,
            style=_style(),
            banner=_banner(views, simulated=simulated),
            summary={str(k): _cell(v, 3)["text"] for k, v in summary.items()},
            notices=_notice_views(warnings),
            sections=views,
            methods=[_linked(part) for part in _paragraphs(methods.text)],
            citations=list(methods.citations),
            provenance={str(k): str(v) for k, v in provenance.items()},
            version=__version__,
        )
    )


@lru_cache(maxsize=8)
def _template(kind: str) -> Any:
    """Return a compiled template; compiling takes longer than filling it in."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(f"{kind}.html")


def _style() -> Any:
    """Return the style sheet, which is ours and needs no escaping."""
    from markupsafe import Markup

    return Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
