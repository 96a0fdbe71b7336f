"""Charts as SVG whose ink follows the reader's light or dark paper, and pictures as data URIs."""

import base64
import io
import re
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

# Stand-ins that nothing else draws with: `svg` turns them into variables of the style sheet.
INK, QUIET, GRID = "#010203", "#010204", "#010205"
_STYLE = """<style>
:root { --c3: #1d2125; --c4: #5d666f; --c5: #dfe2e0; }
@media (prefers-color-scheme: dark) {
:root { --c3: #e3e5e7; --c4: #9aa4ad; --c5: #363c42; } }
</style>
"""
_PIXELS_PER_INCH = 96  # of CSS


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that a page can hold without a second file."""

    source: str  # data URI
    width: int  # CSS pixels
    height: int
    description: str  # in words, for whoever does not see it
    caption: str = ""


def axes(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many inches and its axes, row by row, plain and ruled."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    grid = figure.subplots(rows, columns, squeeze=False)
    for each in grid.flat:
        each.patch.set_alpha(0)
        each.grid(visible=True, color=GRID, linewidth=0.8)
        each.set_axisbelow(True)
        each.tick_params(which="both", colors=QUIET, labelsize=8, length=0)
        each.spines[["top", "right"]].set_visible(False)
        each.spines[["left", "bottom"]].set_color(GRID)
    return figure, list(grid.flat)


def label(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Name a chart and what its axes measure, with units."""
    axes.set_title(plain(title), color=INK, fontsize=9.5, loc="left", fontweight="bold")
    axes.set_xlabel(plain(x), color=QUIET, fontsize=8.5)
    axes.set_ylabel(plain(y), color=QUIET, fontsize=8.5)


def legend(axes: Axes) -> None:
    """Name the lines of a chart, on its right, where no line can lie below a name."""
    axes.legend(
        frameon=False,
        labelcolor=INK,
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1, 1),
        handlelength=1.2,
    )


def legend_below(figure: Figure) -> None:
    """Name the lines of a figure's one chart, below it."""
    figure.legend(
        frameon=False,
        labelcolor=INK,
        fontsize=8,
        loc="outside lower center",
        ncols=2,
        handlelength=1.2,
    )


def plain(text: str) -> str:
    """Return text that matplotlib draws as it stands: a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def svg(figure: Figure) -> str:
    """Draw a figure; the same figure gives the same text."""
    written = io.StringIO()
    # The salt names clip paths, by chance if unset.
    with mpl.rc_context({"svg.hashsalt": "stepscope", "svg.fonttype": "path"}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"#01020([3-5])", r"var(--c\1)", text)
    opening_ends = text.index(">") + 1
    return text[:opening_ends] + "\n" + _STYLE + text[opening_ends:]


def chart(figure: Figure, *, description: str, caption: str = "") -> Picture:
    """Make a figure a picture of a page."""
    width, height = figure.get_size_inches()
    return Picture(
        source=_data_uri("image/svg+xml", svg(figure).encode()),
        width=round(width * _PIXELS_PER_INCH),
        height=round(height * _PIXELS_PER_INCH),
        description=description,
        caption=caption,
    )


def photograph(image: Image.Image, *, description: str, caption: str = "") -> Picture:
    """Make an image a picture of a page: as JPEG or, where it is smaller, as PNG.

    PNG wins for small images that were enlarged by repeating their pixels.
    """
    jpeg, png = io.BytesIO(), io.BytesIO()
    image.convert("RGB").save(jpeg, "JPEG", quality=88, subsampling=0)
    image.convert("RGB").save(png, "PNG", optimize=True)
    written = {"jpeg": jpeg.getvalue(), "png": png.getvalue()}
    kind = min(written, key=lambda each: len(written[each]))
    return Picture(
        source=_data_uri(f"image/{kind}", written[kind]),
        width=image.width,
        height=image.height,
        description=description,
        caption=caption,
    )


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
