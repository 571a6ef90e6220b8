"""The augmentations of a run as a picture: the last one that training drew, or one drawn now."""

from pathlib import Path

import pandas as pd
from markupsafe import Markup, escape

from kit.config import RunConfig
from kit.errors import KitError
from kit.report.blocks import Block, Figure, Missing, Picture
from kit.report.context import Context
from kit.report.pixels import jpeg_uri
from kit.words import typed

_WIDTH = 1400  # pixels of the picture on the page


def views_picture(context: Context, run: str, folder: Path, config: RunConfig | None) -> list[Block]:
    """Return the views of a run, folded: one real site, each augmentation alone and all together."""
    if config is None:
        return []
    what, name = f"the augmentations of {run}, as a picture", f"run_{run}_views"
    drawn = sorted((folder / "figures").glob("views_*.png"))
    path = drawn[-1] if drawn else context.files.folder / f"{name}.png"
    if not drawn:
        from kit.model.views_figure import draw_views_figure  # torch is needed from here on

        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draw_views_figure(context.work, config.views, path, channels=config.channels)
        except KitError as error:
            return [
                Missing(what, f"kit views {typed(context.work.path)} --recipe {typed(config.recipe)} --out views.png ({error})")
            ]
    settings = pd.DataFrame(
        [(key, str(getattr(config.views, key))) for key in config.views.__dataclass_fields__], columns=["setting", "value"]
    )
    files = context.files.write(name, settings, path.read_bytes())
    alt = f"One site under each augmentation of {run}, a row for each of {', '.join(config.channels)}"
    image = Markup(f'<img src="{jpeg_uri(path, _WIDTH)}" alt="{escape(alt)}">')
    caption = "A column for each augmentation alone, then all together; grey levels from 0 to the channel's percentile 99.8."
    picture = Picture(image, _WIDTH)
    title = f"What the student of {run} sees"
    return [
        Figure(name=name, pictures=(picture,), alt=alt, caption=caption, table=settings, folder=files, title=title, folded=True)
    ]
