"""Table [crops] of a recipe."""

from dataclasses import dataclass
from typing import Annotated

from kit.config.setting import setting
from kit.ranges import AREAS, ASPECTS, PIXELS, ZERO_OR_MORE, check_ranges, one_of


@dataclass(frozen=True, kw_only=True, slots=True)
class CropsConfig:
    """Which crops of which sites a step draws: table [crops]. Areas are fractions of a site, or of the square in it."""

    around: Annotated[str, one_of("site", "cell", "place")] = setting(
        "site",
        "what the crops of a sample are drawn in: the whole site; cell, a square around one of its cells, which kit cells finds; "
        "place, a square at a random place, so that all views of one site show the same cells (ours; crops.second_site = true "
        "adds a view of another site); areas are then fractions of this square",
    )
    cell_px: Annotated[int, PIXELS] = setting(
        160,
        "side of the square around a cell or a place, pixels of the site, shifted inside at its edges; 160: Cell-DINO's Cell "
        "Painting",
    )
    global_side: Annotated[int, PIXELS] = setting(518, "side of a global crop, pixels; 518: SSLProfiler 1, table 1")
    global_area: Annotated[tuple[float, float], AREAS] = setting(
        (0.32, 1.0), "fraction of a site's area that a global crop covers, min and max; DINOv2"
    )
    global_aspect: Annotated[tuple[float, float], ASPECTS] = setting(
        (0.75, 4 / 3), "aspect ratio (width / height) of a crop before it is resized to a square, min and max; DINOv2"
    )
    local_crops: Annotated[int, ZERO_OR_MORE] = setting(
        0, "small crops per sample, seen by the student only; SSLProfiler 2 has none, DINOv2 has 8"
    )
    local_side: Annotated[int, PIXELS] = setting(98, "side of a local crop, pixels")
    local_area: Annotated[tuple[float, float], AREAS] = setting(
        (0.05, 0.32), "fraction of a site's area that a local crop covers, min and max; DINOv2"
    )
    second_site: bool = setting(
        True,
        "also crop another site of the same well, as local aggregation requires; SSLProfiler 2, section 3.2.1",
    )
    balance: Annotated[str, one_of("wells", "plates", "cell_lines", "sites", "cells")] = setting(
        "wells",
        "sample wells uniformly, then a site of each (ours); or first plates or cell_lines, then wells; sites: every site as "
        "often, so that wells of 16 sites come up more often than those of 9, SSLProfiler 1, section 3.3.1; cells: with "
        "around = cell every cell as often, however many its site has, Cell-DINO's images of cells",
    )
    batch_of: Annotated[str, one_of("all", "plates", "cell_lines")] = setting(
        "all",
        "what a batch is drawn from; all: every plate; plates, cell_lines: one of them at a time, in turn, so that telling "
        "plates or lines apart does not lower the loss (ours)",
    )
    epoch: Annotated[str, one_of("sites", "cells", "wells9")] = setting(
        "sites",
        "samples per epoch: sites, one per site; cells, one per cell where around = cell, else one per site; wells9, nine per "
        "well",
    )
    flips: bool = setting(True, "mirror crops left-right, each with probability 1/2")
    flips_up_down: bool = setting(
        False, "mirror crops upside down as well, each with probability 1/2, independent of the other; Cell-DINO"
    )
    quarter_turns: bool = setting(True, "turn crops by 0, 90, 180 or 270 degrees at random")
    on_bad: Annotated[str, one_of("fail", "skip")] = setting(
        "fail", "on a damaged image in the store: fail, or skip and count it"
    )

    def __post_init__(self) -> None:
        check_ranges(self, "crops")

    @property
    def dealt_by(self) -> tuple[str, str]:
        """The setting that parts the wells into groups, and its value."""
        return ("balance", self.balance) if self.batch_of == "all" else ("batch_of", self.batch_of)
