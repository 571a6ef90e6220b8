"""What a frozen network is shown of a site: the whole of it, tiles, quarter turns and mirror images; vectors are averaged.

B batch, C channels, H W site pixels, P tile side.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from kit.errors import UsageError
from kit.images.crops.whole_sites import grid

WHOLE, TURNS = "whole", "turns"


@dataclass(frozen=True, slots=True)
class Tiling:
    """pixels: side of the tiles that cover a site, each to be resized like one; None: the whole site. turns: all eight positions.

    Raises:
        UsageError: a side below 1.
    """

    pixels: int | None = None
    turns: bool = False

    def __post_init__(self) -> None:
        if self.pixels is not None and self.pixels < 1:
            raise UsageError(f"--tiles {self.pixels}: the side of a tile is 1 pixel or more")

    @property
    def suffix(self) -> str:
        """What follows the name of the run; empty for whole sites."""
        return (f"-{self.pixels}px" if self.pixels else "") + ("-turns" if self.turns else "")

    @property
    def facts(self) -> dict:
        """What features.json says; nothing for whole sites, as before there was a choice."""
        return {"tiles": {"pixels": self.pixels, "turns": self.turns}} if self.suffix else {}

    def views(self, site_BCHW: Tensor) -> Iterator[Tensor]:
        """Yield the views of sites, contiguous [B, C, P, P] or [B, C, H, W] or [B, C, W, H].

        Raises:
            UsageError: a tile does not fit the site.
        """
        height, width = site_BCHW.shape[2:]
        boxes = [(0, 0, height, width)] if self.pixels is None else grid(height, width, self.pixels).tolist()
        for top, left, tall, wide in boxes:
            tile_BCPP = site_BCHW[:, :, top : top + tall, left : left + wide]
            for mirrored in (tile_BCPP, tile_BCPP.flip(3)) if self.turns else (tile_BCPP,):
                for quarter in range(4 if self.turns else 1):
                    yield mirrored.rot90(quarter, (2, 3)).contiguous()


def parse_tiles(text: str) -> Tiling:
    """Return what --tiles says: `whole`, `turns`, a number of pixels, or `pixels,turns`.

    Raises:
        UsageError: it says something else.
    """
    words = [word.strip() for word in text.split(",")]
    sizes = [word for word in words if word not in (WHOLE, TURNS)]
    if (
        len(set(words)) != len(words)
        or (WHOLE in words and sizes)
        or len(sizes) > 1
        or not all(size.isdecimal() for size in sizes)
    ):
        raise UsageError(f"--tiles {text}: need whole, turns, a tile's side in pixels, or both, as in 280,turns")
    return Tiling(int(sizes[0]) if sizes else None, TURNS in words)
