"""One reference of the methods paragraph, as text and as BibTeX."""

from dataclasses import dataclass

__all__ = ["Reference"]


@dataclass(frozen=True)
class Reference:
    """Describe one paper or program.

    Attributes
    ----------
    authors : str
        As in a bibliography: ``Kipf TN, Welling M`` or with ``et al`` at the end.
    title : str
        Without its last full stop.
    venue : str
        Journal, conference or archive; empty for a preprint.
    year : int or None
        None for a program that is cited as a whole.
    place : str
        Volume and pages, ``12:26-41``; empty where there are none.
    doi, arxiv : str
        Identifiers; either or both may be empty.
    """

    authors: str
    title: str
    venue: str = ""
    year: int | None = None
    place: str = ""
    doi: str = ""
    arxiv: str = ""

    @property
    def text(self) -> str:
        """The citation in words."""
        when = " ".join(filter(None, [self.venue, str(self.year or "")]))
        where = f"{when};{self.place}" if self.place else when
        name = f"doi:{self.doi}" if self.doi else f"arXiv:{self.arxiv}" if self.arxiv else ""
        return f"{_ended(self.authors)} {_ended(self.title)} {where}." + (
            f" {name}" if name else ""
        )

    def bibtex(self, key: str) -> str:
        """Return the entry of a BibTeX file."""
        volume, _, pages = self.place.rpartition(":")
        number, _, issue = volume.partition("(")
        fields = {
            "author": " and ".join(map(_bibtex_author, self.authors.split(", "))),
            "title": f"{{{self.title}}}",
            "journal" if self.place else "howpublished": self.venue or "Preprint",
            "year": str(self.year or ""),
            "volume": number,
            "number": issue.rstrip(")"),
            "pages": pages.replace("-", "--"),
            "doi": self.doi,
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{'article' if self.place else 'misc'}{{{key},", *lines, "}"])


def _ended(text: str) -> str:
    """Return text that ends a sentence."""
    return text if text.endswith((".", "?")) else f"{text}."


def _bibtex_author(name: str) -> str:
    """Return ``van der Walt, S. J.`` for ``van der Walt SJ``, ``others`` for ``et al``."""
    if name == "et al":
        return "others"
    family, _, initials = name.rpartition(" ")
    return f"{family}, {' '.join(f'{letter}.' for letter in initials)}"
