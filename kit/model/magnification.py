"""The settings that give a nucleus the size in view pixels that a recipe was made for, whatever a site's pixels are.

A crop of the share a of a site of side s is magnified by side / (sqrt(a) s), a whole site by embed.side / s. So a nucleus that
spans the share n of the site's side spans n side / sqrt(a) pixels of a view, and n embed.side of an embedded site. A recipe
says for which n it was made (table made_for); for plates with another n its areas and sides are changed to keep these pixels.
Where crops are drawn in squares around cells, these keep their width in nuclei, and nothing else changes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from kit.config import CropsConfig, MadeFor, RunConfig
from kit.images.crops.frames import middle_px
from kit.model.nuclei import NucleusSize
from kit.words import count

SAME_SIZE = 0.03  # relative: a sample's median is not known better
FEWEST_PATCHES = 4  # along a side of a view: below, it shows less than one cell with its neighbours
_NOT_SAID = (
    "recipe {name} does not say which plates its areas were chosen for, so nothing can be fitted to them: "
    "write into it [made_for] with site_px and nucleus_px, pixels"
)
Span = tuple[float, float]  # pixels of a view: least, most


@dataclass(frozen=True, kw_only=True, slots=True)
class Spans:
    """The diameter of a nucleus in what the network sees, pixels."""

    views: Span  # global crops: the largest and the smallest
    local: Span | None  # local crops, where the recipe has them
    site: float  # a whole site, or what is shown around a cell, as it is embedded
    embedded: str = "sites"

    def rows(self) -> dict[str, str]:
        """Return what the network sees -> the diameter in it, in words."""
        found = {"global views": _px(self.views)}
        if self.local:
            found["local views"] = _px(self.local)
        return found | {f"embedded {self.embedded}": f"{self.site:.0f} px"}


def spans(config: RunConfig, share: float, site_px: float = 0.0) -> Spans:
    """Return what a nucleus of `share` of the site's side spans under `config`.

    site_px: side of a site, pixels; for embed.crop, which shows this many of them.
    """
    crops = config.crops
    local = _span(share, crops.local_side, crops.local_area) if crops.local_crops else None
    views = _span(share, crops.global_side, crops.global_area)
    if config.embed.crop and site_px:
        return Spans(views=views, local=local, site=share * site_px / config.embed.crop * config.embed.side, embedded="centres")
    return Spans(views=views, local=local, site=share * config.embed.side)


def spans_around_cells(config: RunConfig, nucleus_px: float) -> Spans:
    """Return what a nucleus of this diameter, pixels of the site, spans in the squares around cells that `config` draws in."""
    in_square = spans(config, nucleus_px / config.crops.cell_px)
    shown = min(middle_px(config.crops), config.embed.crop or math.inf)
    return replace(in_square, site=nucleus_px / shown * config.embed.side, embedded="cells")


def fit(config: RunConfig, recipe: RunConfig, made_for: MadeFor, share: float) -> tuple[CropsConfig, int]:
    """Return the crops and the embed.side that show a nucleus of `share` of the site's side as `recipe` shows its own.

    Areas change first. Where a crop would have to be larger than the site, the sides of the views shrink instead, in whole
    patches, so that the nucleus keeps its size.

    Args:
        config: the recipe with the settings of the run; its sides are kept where they fit.
        recipe: the recipe as it was made.
    """
    patch, ratio = config.model.patch, share / made_for.share
    ratio = 1.0 if abs(ratio - 1) < SAME_SIZE else ratio
    made, now = recipe.crops, config.crops
    most = made.global_area[1] * (ratio * now.global_side / made.global_side) ** 2
    shrink = 1.0 if most < 1.005 else most**-0.5  # 1.005: no change for the third digit
    side = now.global_side if shrink == 1 else _patches(shrink * now.global_side, patch, int)
    area = _area(made.global_area, ratio * side / made.global_side)
    crops = replace(now, global_side=side, global_area=area)
    if now.local_crops:
        local = now.local_side if shrink == 1 else _patches(shrink * now.local_side, patch, round)
        crops = replace(crops, local_side=local, local_area=_area(made.local_area, ratio * local / made.local_side))
    return crops, _patches(recipe.embed.side / ratio, patch, round)


def advice(size: NucleusSize, config: RunConfig, recipe: RunConfig, made_for: MadeFor | None) -> str:
    """Return the measured size, what it spans under `config` and under the recipe's own plates, and the settings to use.

    Args:
        config: the recipe with the settings given to the command.
        recipe: the recipe without them; made_for: the plates it was made for, if it says so.
    """
    if config.crops.around == "cell":
        return _around_cells(size, config, recipe, made_for)
    if config.crops.around == "place" or recipe.crops.around != "site":
        return f"{size.text()}\nWith these settings a nucleus spans\n{_table(_spans_drawn(size, config), None)}"
    name = recipe.recipe
    if made_for is None:
        table = _table(spans(config, size.share, (size.height * size.width) ** 0.5), None)
        return f"{size.text()}\nWith recipe {name} a nucleus spans\n{table}\n{_NOT_SAID.format(name=name)}"
    lines = [
        size.text(),
        f"recipe {name} was made for nuclei of {made_for.nucleus_px:g} px on sites of {made_for.site_px} px, "
        f"{100 * made_for.share:.2g} % of the side. Here a nucleus spans",
        _table(spans(config, size.share, (size.height * size.width) ** 0.5), spans(recipe, made_for.share)),
    ]
    crops, embed_side = fit(config, recipe, made_for, size.share)
    patch = config.model.patch
    if min(crops.global_side, embed_side) < FEWEST_PATCHES * patch:
        return "\n".join([*lines, _too_few_cells(name, min(crops.global_side, embed_side), patch)])
    if crops.global_side < config.crops.global_side:
        lines.append(
            f"The views get smaller: for crops.global_side = {config.crops.global_side} a crop would be larger than the site."
        )
    if embed_side >= 1.5 * recipe.embed.side:
        now, then = ((side // patch) ** 2 for side in (embed_side, recipe.embed.side))
        lines.append(f"Embedding takes longer than with the recipe's side: {now:,} patches a site, not {then:,}.")
    fits = (crops, embed_side) == (config.crops, config.embed.side)
    lines.append("These values fit as they are:" if fits else "To give it the size that the recipe was made for:")
    return "\n".join([*lines, f"  {_settings(crops, embed_side, recipe)}"])


def _around_cells(size: NucleusSize, config: RunConfig, recipe: RunConfig, made_for: MadeFor | None) -> str:
    nucleus_px, made = size.quartiles[1], None
    if made_for is not None and recipe.crops.around == "cell":
        made = spans_around_cells(recipe, made_for.nucleus_px)
    lines = [
        size.text(),
        f"In the squares of {config.crops.cell_px} px around cells (crops.cell_px) a nucleus spans",
        _table(spans_around_cells(config, nucleus_px), made),
    ]
    if made_for is not None and made is not None:
        wanted = square_px(recipe, made_for, nucleus_px)
        fits = wanted == config.crops.cell_px
        lines.append("This value fits as it is:" if fits else "To give it the size that the recipe was made for:")
        lines.append(f"  --set crops.cell_px={wanted}")
    return "\n".join(lines)


def _spans_drawn(size: NucleusSize, config: RunConfig) -> Spans:
    """Return what a nucleus spans: in crops of the site or of the square in it, and in whole sites, which are embedded."""
    whole = spans(config, size.share, (size.height * size.width) ** 0.5)
    if config.crops.around == "site":
        return whole
    return replace(spans(config, size.quartiles[1] / config.crops.cell_px), site=whole.site, embedded=whole.embedded)


def square_px(recipe: RunConfig, made_for: MadeFor, nucleus_px: float) -> int:
    """Return the side of the square around a cell that holds as many nuclei of this diameter as the recipe's holds of its own."""
    ratio = nucleus_px / made_for.nucleus_px
    return recipe.crops.cell_px if abs(ratio - 1) < SAME_SIZE else max(1, round(recipe.crops.cell_px * ratio))


def _settings(crops: CropsConfig, embed_side: int, recipe: RunConfig) -> str:
    """Return the --set options; areas and embed.side always, the sides of the views where they are not the recipe's."""
    keys = ["global_area"] + (["local_area"] if crops.local_crops else [])
    sides = [key for key in ("global_side", "local_side") if getattr(crops, key) != getattr(recipe.crops, key)]
    values = [f"crops.{key}={getattr(crops, key)}" for key in sides]
    values += [f"crops.{key}=[{','.join(f'{share:.3g}' for share in getattr(crops, key))}]" for key in keys]
    return " ".join(f"--set {value}" for value in [*values, f"embed.side={embed_side}"])


def _table(now: Spans, made: Spans | None) -> str:
    was = made.rows() if made else {}
    return "\n".join(
        f"  in {what:15}{span}" + (f", made for {was[what]}" if what in was else "") for what, span in now.rows().items()
    )


def _too_few_cells(recipe: str, side: int, patch: int) -> str:
    patches = count(side // patch, "patch", "patches")
    return (
        f"recipe {recipe} does not fit these plates: with nuclei of that size a whole site is a view of {side} px, {patches} a "
        "side; use a recipe made for larger nuclei, or sites with more cells"
    )


def _span(share: float, side: int, area: tuple[float, float]) -> Span:
    return share * side / area[1] ** 0.5, share * side / area[0] ** 0.5


def _area(made: tuple[float, float], scale: float) -> tuple[float, float]:
    """Return the areas of crops whose sides are `scale` times as long, to three digits; at most the site."""
    least, most = (min(1.0, float(f"{area * scale * scale:.3g}")) for area in made)
    return least, most


def _patches(side: float, patch: int, whole: Callable[[float], int]) -> int:
    """Return a side in whole patches, at least one."""
    return max(1, whole(side / patch)) * patch


def _px(span: Span) -> str:
    least, most = (f"{px:.0f}" for px in span)
    return f"{least} px" if least == most else f"{least} to {most} px"
