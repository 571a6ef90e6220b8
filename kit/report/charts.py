"""Charts that answer to the pointer: Vega-Altair, its JavaScript inside the page."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pandas as pd
from markupsafe import Markup

from kit.report.blocks import Chart, Missing
from kit.report.colours import MUTED
from kit.report.figures import Files

INSTALL = "pip install 'cellpaint-kit[report]', then kit report again"
_CONFIG = {
    "background": None,
    "view": {"stroke": None},
    "font": "system-ui, sans-serif",
    "axis": {"gridColor": MUTED, "gridOpacity": 0.25, "domainColor": MUTED, "tickColor": MUTED, "labelFontSize": 11},
}


def chart(
    files: Files,
    name: str,
    make: Callable[[Any], Any],
    table: pd.DataFrame,
    *,
    alt: str,
    caption: str,
    title: str = "",
) -> Chart | Missing:
    """Return the chart that `make(altair)` returns, and write NAME.png and NAME.csv; Missing where Altair is not installed.

    make: takes the module altair and returns a chart, its width "container" as a rule. table: what is drawn.
    """
    try:
        import altair
        import vl_convert
    except ImportError:
        return Missing(f"{title or name}, as a chart that answers to the pointer", INSTALL)
    with altair.data_transformers.enable("default", max_rows=None):
        spec = make(altair).to_dict()
    spec["config"] = {**spec.get("config", {}), **_CONFIG}
    still = json.loads(json.dumps(spec).replace('"width": "container"', '"width": 600'))
    png = vl_convert.vegalite_to_png(json.dumps({**still, "background": "white"}), vl_version=_version(), scale=2)
    folder = files.write(name, table, png)
    return Chart(name=name, spec=in_script(spec), alt=alt, caption=caption, table=table, folder=folder, title=title)


def in_script(value: Any) -> Markup:
    """Return JSON that may stand inside <script>."""
    text = json.dumps(value, separators=(",", ":"))
    return Markup(text.replace("</", "<\\/").replace("<!--", "\\u003c!--"))


@lru_cache(maxsize=1)
def bundle() -> Markup:
    """Return Vega, Vega-Lite and Vega-Embed as one script that needs no network; it defines `vegaEmbed`."""
    import vl_convert

    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", _version()).replace("</script", "<\\/script"))


def _version() -> str:
    """Return the Vega-Lite that this Altair writes, as vl-convert names it: "6.4"."""
    import altair

    return ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
