"""Table [embed] of a recipe."""

from dataclasses import dataclass
from typing import Annotated

from kit.config.setting import setting
from kit.ranges import AT_LEAST_1, PIXELS, ZERO_OR_MORE, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedConfig:
    """How a whole site goes through the frozen backbone: table [embed]."""

    side: Annotated[int, PIXELS] = setting(518, "a whole site is resized to this side, pixels")
    crop: Annotated[int, ZERO_OR_MORE] = setting(
        0, "if not 0: the square of this side at the centre of a site, pixels, is embedded instead of the whole site; Cell-DINO"
    )
    batch: Annotated[int, AT_LEAST_1] = setting(16, "sites per batch")

    def __post_init__(self) -> None:
        check_ranges(self, "embed")
