"""Sections -> one HTML page that asks for nothing from outside."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import vl_convert
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from contragrad.legible import legible
from contragrad.page.blocks import Section
from contragrad.page.theme import THEMES


def page(title: str, subtitle: str, sections: Sequence[Section], stills: Mapping[str, str]) -> str:
    """The page's HTML. All texts are escaped; what stands between backticks is shown as code.

    Its one script is known to the browser by its hash, and nothing else may run or be loaded.

    Args:
        title: of the page.
        subtitle: under it.
        sections: in their order.
        stills: each plot as a data URI, for readers without scripts.
    """
    script = _script()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters["coded"] = _coded
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
    )
    return environment.from_string(_resource("page.html")).render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        policy=policy,
        style=Markup(_resource("page.css")),
        script=Markup(script),
        stills=stills,
        themes=THEMES,
    )


def _resource(name: str) -> str:
    return resources.files("contragrad.page").joinpath(name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """Vega with what draws the page's plots; no text in it ends its element."""
    return vl_convert.javascript_bundle(_resource("page.js")).replace("</script", "<\\/script")


def _shown(value: object) -> object:
    """What a page shows of a value: a text without control characters, which no browser need bear."""
    return legible(value, lines=True) if type(value) is str else value


def _coded(text: str) -> Markup:
    """Escaped text, with what stands between backticks as code."""
    text = legible(text, lines=True)
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return Markup.escape(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )
