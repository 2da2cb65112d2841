"""How plots look, on a light page and on a dark one, and plots as files."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

from contragrad.legible import legible
from contragrad.page.blocks import Chart

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'

# Okabe and Ito's colours, which colour-blind people tell apart, as dark or as light as the page wants them.
SLOTS = {
    "light": ["#0072B2", "#D55E00", "#009E73", "#B6579A", "#A87400", "#2A8FC7", "#5B5F66", "#8C6BB1"],
    "dark": ["#56B4E9", "#F0833A", "#2EC4A0", "#E08CC0", "#E6B23C", "#8FD0F5", "#B4B8C0", "#BFA6DD"],
}
RAMP = {"light": ["#b4cde2", "#3f7fb5", "#0b2f57"], "dark": ["#3f5a78", "#6ea8d8", "#e3f2ff"]}
"""From early to late, which stands out."""

INK = {"light": "#1d2129", "dark": "#e8eaee"}
MUTED = {"light": "#5c6470", "dark": "#a2a9b5"}
QUIET = {"light": "#a3a9b3", "dark": "#6f7785"}
LINES = {"light": "#e3e6ea", "dark": "#30353e"}
FILE_WIDTH = 720
"""Pixels of a plot in a file; on the page it is as wide as the page."""


def _theme(name: str) -> dict[str, Any]:
    """Vega-Lite's config; marks of the styles `quiet` and `strong` are grey and black."""
    axis = {
        "labelColor": MUTED[name],
        "titleColor": MUTED[name],
        "gridColor": LINES[name],
        "domainColor": LINES[name],
        "tickColor": LINES[name],
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 150,
    }
    legend = {
        "labelColor": INK[name],
        "titleColor": MUTED[name],
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "symbolStrokeWidth": 2,
    }
    return {
        "background": "transparent",
        "font": FONT,
        "axis": axis,
        "legend": legend,
        "view": {"stroke": None},
        "range": {"category": SLOTS[name], "ramp": RAMP[name]},
        "text": {"color": INK[name], "fontSize": 12, "fontWeight": 600},
        "mark": {"tooltip": True},
        "style": {
            "quiet": {"color": QUIET[name], "stroke": QUIET[name], "fill": QUIET[name]},
            "strong": {"color": INK[name], "stroke": INK[name], "fill": INK[name]},
        },
    }


THEMES: Mapping[str, Mapping[str, Any]] = {name: _theme(name) for name in ("light", "dark")}


def of(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """A plot of rows, which has no marks yet."""
    return alt.Chart({"values": list(rows)})


def finished(plot: alt.LayerChart | alt.FacetChart, name: str, title: str, caption: str) -> Chart:
    """An Altair plot as a block that is as wide as the page.

    Args:
        plot: what is shown.
        name: of its file, without suffix.
        title: a heading.
        caption: how to read it, which is also what is read aloud in its place.
    """
    wide = plot.properties(
        width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), description=caption
    )
    specification = _legible(wide.to_dict())
    specification.pop("config", None)
    return Chart(name=f"{name}.svg", title=title, caption=caption, specification=specification)


def _legible(part: Any) -> Any:
    """The same without control characters, at which the SVG writer ends the whole process."""
    match part:
        case str():
            return legible(part, lines=True)
        case dict():
            return {_legible(key): _legible(value) for key, value in part.items()}
        case list():
            return [_legible(each) for each in part]
        case _:
            return part


def drawn(chart: Chart) -> str:
    """The plot as SVG, for a light page."""
    fixed = {**chart.specification, "width": FILE_WIDTH}
    return vl_convert.vegalite_to_svg(fixed, config={**THEMES["light"], "background": "white"})
