"""Between which values the signs of a healthy training lie, and what it means where one does not."""

import math
from typing import NamedTuple


class Limit(NamedTuple):
    """When one sign is bad, and what that means."""

    sign: str
    above: float
    below: float
    meaning: str

    def holds(self, value: float) -> bool:
        """Return whether a value of the sign is a healthy one."""
        return self.below <= value <= self.above

    def breach(self, value: float) -> str:
        """Return what a bad value means, in words."""
        return self.meaning.format(uniform_or_single="uniform" if value > self.above else "single prototypes")

    def text(self) -> str:
        """Return the limits: `0.05 to 0.97`, or `1.1 or more`."""
        return f"{self.below:g} or more" if math.isinf(self.above) else f"{self.below:g} to {self.above:g}"


# Set on made pictures, with seeds and configurations that no test uses: eight healthy configurations of 500 steps
# stayed within entropy 0.28 to 0.95, used 0.42 up, rank 1.9 up; six ways to collapse went beyond.
LIMITS = (
    Limit("entropy", 0.97, 0.05, "targets are {uniform_or_single}"),
    Limit("used", math.inf, 0.25, "nearly all samples share a few prototypes"),
    Limit("rank", math.inf, 1.1, "features differ along one direction only"),
    Limit("spread", math.inf, 1e-3, "features are the same for every sample"),
)
