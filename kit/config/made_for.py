"""Table made_for of a recipe: the plates that its crops and its embedding were chosen for."""

from dataclasses import dataclass
from typing import Annotated

from kit.ranges import PIXELS, POSITIVE, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeFor:
    """The plates that a recipe's areas and sides were chosen for; no value of a run. `kit views --nuclei` fits others to them."""

    site_px: Annotated[int, PIXELS] = 0  # side of a site; 0, not given, is refused
    nucleus_px: Annotated[float, POSITIVE] = 0.0  # median diameter of a nucleus, pixels of that site; likewise

    def __post_init__(self) -> None:
        check_ranges(self, "made_for")

    @property
    def share(self) -> float:
        """The nucleus' diameter as a share of the site's side."""
        return self.nucleus_px / self.site_px
