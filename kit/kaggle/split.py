"""Which plate of a store goes into which data set, where one holds too little: by plate, and for good."""

from collections.abc import Mapping

from kit.errors import KitError
from kit.model.footprint import gb


def assign_plates(sizes: Mapping[str, int], limit: float, known: Mapping[str, int]) -> dict[str, int]:
    """Return plate -> number of its part, from 1.

    A plate that was assigned before stays in its part, so that plates added later change no part but the last ones.

    Args:
        sizes: bytes of each plate. limit: bytes of a part. known: plate -> part, from before.

    Raises:
        KitError: a plate is larger than a part.
    """
    for plate, size in sizes.items():
        if size > limit:
            raise KitError(f"plate {plate} takes {gb(size)} and a part holds {gb(limit)}: raise --part-gb")
    parts = {plate: known[plate] for plate in sizes if plate in known}
    filled: dict[int, int] = {}
    for plate, part in parts.items():
        filled[part] = filled.get(part, 0) + sizes[plate]
    for part, size in filled.items():
        if size > limit:
            raise KitError(f"part {part} has grown to {gb(size)} and a part holds {gb(limit)}: raise --part-gb")
    last = max(filled, default=1)
    for plate in sorted(set(sizes) - set(parts)):
        if filled.get(last, 0) + sizes[plate] > limit:
            last += 1
        parts[plate] = last
        filled[last] = filled.get(last, 0) + sizes[plate]
    return dict(sorted(parts.items()))
