"""Whole sites for inference: resized, or as a grid of overlapping tiles. S sites, T tiles a site, C channels, P tile side."""

import torch

from kit.errors import UsageError
from kit.kernels.tile import tile


def whole_sites(pixels_SCHW: torch.Tensor, side: int, *, crop: int = 0, threads: int | None = None) -> torch.Tensor:
    """Return every site resized to `side` x `side` pixels, uint8 [S, C, side, side], with the training crops' own resampling.

    Args:
        crop: if not 0, the square of this side at the site's centre, pixels, is taken instead of the whole site.

    Raises:
        UsageError: the square is larger than the site.
        ValueError: the pixels are not a contiguous uint8 [S, C, H, W].
    """
    sites, _, height, width = pixels_SCHW.shape
    if crop > min(height, width):
        raise UsageError(f"embed.crop = {crop} is larger than a site of {height} x {width} px; 0 embeds the whole site")
    box = [(height - crop) // 2, (width - crop) // 2, crop, crop] if crop else [0, 0, height, width]
    box_S4 = torch.tensor(box).expand(sites, 4).contiguous()
    return tile(pixels_SCHW, torch.arange(sites), box_S4, side=side, threads=threads)[0]


def grid(height: int, width: int, size: int, overlap: int = 0) -> torch.Tensor:
    """Return the tiles that cover a site, (top, left, size, size) in pixels, int64 [T, 4], row by row.

    As few tiles as cover the site with at least `overlap` pixels shared by neighbours, spread evenly: the first and the last
    of a row end at the site's edges.

    Raises:
        UsageError: the tile does not fit the site, or the overlap leaves it no step.
    """
    if not 1 <= size <= min(height, width):
        raise UsageError(f"a tile of {size} px does not fit a site of {height} x {width} px")
    if not 0 <= overlap < size:
        raise UsageError(f"an overlap of {overlap} px needs a tile larger than {size} px")
    tops, lefts = (_starts(length, size, overlap) for length in (height, width))
    return torch.tensor([(top, left, size, size) for top in tops for left in lefts])


def site_tiles(
    pixels_SCHW: torch.Tensor, size: int, *, overlap: int = 0, side: int | None = None, threads: int | None = None
) -> torch.Tensor:
    """Return every site as its grid of tiles, uint8 [S, T, C, P, P]; each tile resized to `side` if that is given."""
    sites, channels, height, width = pixels_SCHW.shape
    box_T4 = grid(height, width, size, overlap)
    side = size if side is None else side
    site_B = torch.arange(sites).repeat_interleave(len(box_T4))
    tiles = tile(pixels_SCHW, site_B, box_T4.repeat(sites, 1), side=side, threads=threads)[0]
    return tiles.view(sites, len(box_T4), channels, side, side)


def _starts(length: int, size: int, overlap: int) -> list[int]:
    steps = -(-(length - size) // (size - overlap))
    return [round(step * (length - size) / max(steps, 1)) for step in range(steps + 1)]
