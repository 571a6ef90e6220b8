"""One image of a plate: from the bytes of its TIFF to the stored levels. H W pixels."""

import numpy as np

from kit.images.source.tiff import DAMAGED, DECODED, BadImage, Claims, read_tiff
from kit.images.store.levels import ImageStats, scale_image, stats_of
from kit.images.store.robust import scale_robust
from kit.kernels.extension import cpu_extension


def read_levels(data: bytes, black: int = -1, white: int = -1, *, robust: bool = False) -> tuple[np.ndarray, ImageStats, Claims]:
    """Return a TIFF file's levels, uint8 [H, W], its numbers, and what its tags claim; decoding and scaling are one call.

    black, white: the counts that become 0 and 255; below 0: the image's own minimum and maximum.
    robust: by the image's own percentiles, hot pixels replaced; see `kit.images.store.robust`.

    Raises:
        BadImage: see `kit.images.source.tiff.read_tiff`.
    """
    if (compiled := cpu_extension()) is not None:
        verdict, reason, levels, numbers, least, most = compiled.tiff_levels(data, black, white, robust)
        if verdict == DAMAGED:
            raise BadImage(reason)
        if verdict == DECODED:
            return levels, stats_of(numbers, levels.shape), Claims(least, most)
    image = read_tiff(data)
    if robust:
        levels, stats, _ = scale_robust(image.counts_HW)
        return levels, stats, image.claims
    return *scale_image(image.counts_HW, black, white), image.claims
