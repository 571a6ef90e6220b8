"""What the name of a channel says of its stain."""

import re
from collections.abc import Sequence

NUCLEAR = ("DNA", "DAPI", "Hoechst", "DRAQ5", "H2B", "nuclei", "nucleus", "nuclear")


def nuclear_channel(channels: Sequence[str]) -> str | None:
    """Return the first channel named after a nuclear stain, as "DNA", "hoechst 33342", "OrigDNA"; None if there is none."""
    stain = re.compile(f"(?<!mt)({'|'.join(NUCLEAR)})", re.IGNORECASE)  # DNA of mitochondria is elsewhere
    return next((name for name in channels if stain.search(name)), None)
