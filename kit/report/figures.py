"""matplotlib figures on the page, and beside it as PNG with the table that they draw as CSV."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup, escape

from kit.files import whole_file
from kit.report.blocks import Figure, Picture
from kit.report.colours import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_STYLE: dict[Any, Any] = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # letters stay letters: found by a search, read by a screen reader
    "figure.dpi": 100,
}


@dataclass(frozen=True, slots=True)
class Files:
    """The folder beside the page: NAME.png and NAME.csv of every figure."""

    folder: Path

    def write(self, name: str, table: pd.DataFrame, png: bytes | None = None) -> str:
        """Write them and return the folder's name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / f"{name}.csv") as part:
            table.to_csv(part, index=False)
        if png is not None:
            with whole_file(self.folder / f"{name}.png") as part:
                Path(part).write_bytes(png)
        return self.folder.name


@contextmanager
def style() -> Iterator[None]:
    """Draw in the page's style: make and save a figure inside it."""
    import matplotlib  # slow to import, and only a page needs it

    with matplotlib.rc_context(_STYLE):
        yield


def inline(drawing: "Drawing", name: str, title: str = "", alt: str = "") -> Picture:
    """Return a drawing as SVG whose ink is the page's. name: unique on the page, for the ids inside."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        drawing.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sid="(?:figure|axes|patch|text|line2d|xtick|ytick|matplotlib\.axis|legend|image)_\w+"', "", svg)
    svg = re.sub(r"font-family: [^;\"]*; |\stransform=\"rotate\(-0 [^\"]*\"", "", svg)  # the page's letters; no turn
    svg = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt or title or name)}"', 1)
    return Picture(Markup(svg.replace(INK, "currentColor")), round(100 * drawing.get_figwidth()), title)


def png(drawing: "Drawing", dpi: int = 120) -> bytes:
    """Return a drawing as PNG on white."""
    image = io.BytesIO()
    drawing.savefig(image, format="png", dpi=dpi, facecolor="white")
    return image.getvalue()


def figure(
    files: Files,
    name: str,
    drawing: "Drawing",
    table: pd.DataFrame,
    *,
    alt: str,
    caption: str,
    title: str = "",
    pictures: Sequence[Picture] = (),
    folded: bool = False,
) -> Figure:
    """Write NAME.png and NAME.csv and return the block; call it inside `style`.

    drawing: what the PNG shows, and the page too where no `pictures` are given that it shows instead.
    """
    folder = files.write(name, table, png(drawing))
    shown = tuple(pictures) or (inline(drawing, name, alt=alt),)
    return Figure(
        name=name, pictures=shown, alt=alt, caption=caption, table=table, folder=folder, title=title, folded=folded
    )  # fmt: skip
