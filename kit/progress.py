"""Progress with an ETA on a terminal; an occasional line in a log file."""

import os
import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(
    items: Iterable | None = None, *, total: int | None = None, label: str, unit: str = "it", shown: bool = True
) -> tqdm:
    """Return a tqdm bar on stderr: live on a terminal, one line every 30 s elsewhere; none if KIT_QUIET is set."""
    return tqdm(
        items,
        total=total,
        desc=label,
        unit=unit,
        file=sys.stderr,
        mininterval=0.2 if sys.stderr.isatty() else 30,
        dynamic_ncols=True,
        disable=not shown or bool(os.environ.get("KIT_QUIET")),
    )
