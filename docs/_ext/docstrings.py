"""What the docstrings of contragrad have beside Google's sections, put into reStructuredText.

`Source:` and `Deviates:` begin paragraphs whose further lines are indented; formulas are indented after an
empty line.
"""

import re

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

PARAGRAPH = re.compile(r"(Source|Deviates): ")
CODE = re.compile(r"(`[^`]*`)")


def translated(lines: list[str]) -> list[str]:
    """The lines with each `Source:` and `Deviates:` as a paragraph, and each formula as literal text."""
    found: list[str] = []
    paragraph = formula = False
    for line in lines:
        indented = line.startswith("    ")
        if PARAGRAPH.match(line):
            found += ["", PARAGRAPH.sub(r"*\1:* ", escaped(line))]
            paragraph, formula = True, False
            continue
        paragraph = paragraph and indented
        if not formula or not indented:
            line = escaped(line)
        if indented and not paragraph and not formula and (not found or not found[-1]):
            found += ["::", ""]
            formula = True
        elif line and not indented:
            formula = False
        found.append(line.strip() if paragraph else line)
    return found


def escaped(line: str) -> str:
    """The line with nothing but its code marked up: bars and stars outside of it are what they are."""
    parts = CODE.split(line)
    return "".join(
        part if place % 2 else re.sub(r"([|*])", r"\\\1", part) for place, part in enumerate(parts)
    )


def _process(app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]) -> None:
    lines[:] = translated(lines)
    # In a constant's docstring napoleon would take what stands before a colon for a type.
    if what not in ("data", "attribute"):
        lines[:] = GoogleDocstring(lines, Config(), app, what, name, found, options).lines()


def _signed(
    app: Sphinx,
    what: str,
    name: str,
    found: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    # What a dataclass's factory is called in signatures is no Python, and Sphinx could not read the rest.
    return signature and signature.replace("<factory>", "..."), returns


def setup(app: Sphinx) -> dict[str, bool]:
    """Has autodoc go through it."""
    app.connect("autodoc-process-docstring", _process)
    app.connect("autodoc-process-signature", _signed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
