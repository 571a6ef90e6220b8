"""Patches of one site found again in others: how alike each is to one of them, and which are each other's nearest.

N patches of a site, row-major, in R rows of R.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from kit.report.blocks import Figure, Picture
from kit.report.colours import SCALE
from kit.report.context import Context
from kit.report.figures import figure, style
from kit.report.pixels import enlarged, jpeg_uri
from kit.report.sheet import sheet

if TYPE_CHECKING:
    from kit.model.patch_matches import Matches
    from kit.profiles.looks import PatchMaps

_CORNERS = np.array([[(0.0, 0.45, 0.70), (0.90, 0.62, 0.0)], [(0.0, 0.62, 0.45), (0.80, 0.47, 0.65)]])  # of the first site
_FACTS = ["perturbation", "plate", "well", "site", "row", "column"]


def matched(context: Context, run: str, maps: "PatchMaps", names: Sequence[str], views: Sequence[np.ndarray]) -> Figure:
    """Return the first site beside the others: cosines with one of its patches, and patches that are each other's nearest.

    names: of the sites' perturbations. views: the sites as pictures, uint8 [P, P, 3].
    """
    rows, pixels = maps.colour_BRR3.shape[1], len(views[0])
    cosine_BN = np.stack([each.cosine_NM[maps.query] for each in maps.matches])
    low, high = cosine_BN.min(), max(cosine_BN[1:].max(), cosine_BN.min() + 1e-6)
    sites = [_boxed(view, int(each.nearest_N[maps.query]), rows) for view, each in zip(views, maps.matches, strict=True)]
    heat = [enlarged(_heat((one - low) / (high - low)).reshape(rows, rows, 3), pixels) for one in cosine_BN]
    placed = [enlarged(matched_colours(each, rows), pixels) for each in maps.matches]
    pictures = [_picture(*column) for column in zip(sites, heat, placed, maps.keys, names, strict=True)]
    table = pd.concat([_matches(*one, rows) for one in zip(names, maps.keys, maps.matches, strict=True)][1:])
    context.files.write(f"matches_{run}_cosine", _cosines(maps, names, cosine_BN))
    both = ", ".join(f"{name} {share:.0%}" for name, share in table.groupby("perturbation", sort=False)["mutual"].mean().items())
    any_two = np.mean([_any_two(each, shown_RR) for each, shown_RR in zip(maps.matches, _shown(maps), strict=True)][1:])
    caption = (
        f"Top: the patch of {names[0]} with most contrast, and the nearest to it in each other site. Middle: its cosine with "
        f"every patch, dark {low:.2f} to bright {high:.2f}. Bottom: patches of {names[0]} in a colour of their place, and in the "
        f"other sites the patches that are each other's nearest, in the same colour ({both} of its patches). The cosine of a "
        f"patch with its nearest is {table['cosine'].mean():.2f} in the mean, of any two {any_two:.2f}; background is left out."
    )
    with style():
        drawing = sheet((sites, heat, placed), ("site", "cosine", "matches"), names, 2.2)
        return figure(
            context.files, f"matches_{run}", drawing, table, caption=caption, title=f"Patches found again, as {run} sees them",
            alt=f"Patches of {names[0]} and those nearest to them as {run} sees them: {both} are each other's nearest",
            pictures=pictures,
        )  # fmt: skip


def matched_colours(matches: "Matches", rows: int) -> np.ndarray:
    """Return the colour of each patch of the second site, float [R, R, 3]: its partner's in the first, NaN without one."""
    colour_M3 = np.full((matches.cosine_NM.shape[1], 3), np.nan)
    colour_M3[matches.nearest_N[matches.mutual_N]] = _places(rows).reshape(-1, 3)[matches.mutual_N]
    return colour_M3.reshape(rows, rows, 3)


def _places(rows: int) -> np.ndarray:
    """Return a colour of each place, float [R, R, 3]: what lies between those of the corners."""
    along_R = np.linspace(0, 1, rows) if rows > 1 else np.zeros(1)
    share_R2 = np.stack([1 - along_R, along_R], axis=1)
    return np.einsum("ya,xb,abc->yxc", share_R2, share_R2, _CORNERS)


def _heat(share_N: np.ndarray) -> np.ndarray:
    from matplotlib import colormaps  # slow to import

    return colormaps[SCALE](np.clip(share_N, 0, 1))[:, :3]


def _boxed(view_PP3: np.ndarray, patch: int, rows: int) -> np.ndarray:
    """Return the picture with a white frame around a patch; without one where patch is -1."""
    from PIL import Image, ImageDraw

    picture, step = Image.fromarray(view_PP3), len(view_PP3) / rows
    if patch >= 0:
        top, left = patch // rows * step, patch % rows * step
        ImageDraw.Draw(picture).rectangle((left - 2, top - 2, left + step + 1, top + step + 1), outline="white", width=2)
    return np.asarray(picture)


def _picture(site_PP3: np.ndarray, heat_PP3: np.ndarray, placed_PP3: np.ndarray, key: tuple[str, str, int], name: str) -> Picture:
    where = f"{key[0]} {key[1]}, site {key[2]}"
    said = (f"{name}, {where}", f"Cosine of the patches of {name}, {where}", f"Patches of {name}, {where}, by their partners")
    shown = [
        Markup('<img src="{}" alt="{}">').format(jpeg_uri(image), alt)
        for image, alt in zip((site_PP3, heat_PP3, placed_PP3), said, strict=True)
    ]
    return Picture(Markup("").join(shown) + Markup('<p class="under">{}</p>').format(where), len(site_PP3), name)


def _shown(maps: "PatchMaps") -> np.ndarray:
    return np.isfinite(maps.colour_BRR3[..., 0])


def _any_two(matches: "Matches", shown_RR: np.ndarray) -> float:
    return float(matches.cosine_NM[np.ix_(matches.nearest_N >= 0, shown_RR.ravel())].mean())


def _matches(name: str, key: tuple[str, str, int], matches: "Matches", rows: int) -> pd.DataFrame:
    """Return a row for each foreground patch of the first site: the nearest one in this site."""
    patch_K = np.flatnonzero(matches.nearest_N >= 0)
    nearest_K = matches.nearest_N[patch_K]
    facts = {name: [value] * len(patch_K) for name, value in zip(_FACTS[:4], (name, *key), strict=True)}
    return pd.DataFrame(
        facts
        | {"row": patch_K // rows, "column": patch_K % rows, "nearest_row": nearest_K // rows, "nearest_column": nearest_K % rows}
        | {"cosine": matches.cosine_NM[patch_K, nearest_K].round(4), "mutual": matches.mutual_N[patch_K]}
    )


def _cosines(maps: "PatchMaps", names: Sequence[str], cosine_BN: np.ndarray) -> pd.DataFrame:
    """Return every patch of every site with its cosine with the patch asked for."""
    rows = maps.colour_BRR3.shape[1]
    table = [
        (name, *key, place // rows, place % rows, round(float(cosine), 4))
        for name, key, cosine_N in zip(names, maps.keys, cosine_BN, strict=True)
        for place, cosine in enumerate(cosine_N)
    ]
    return pd.DataFrame(table, columns=[*_FACTS, "cosine"])
