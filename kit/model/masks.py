"""Which patches are hidden from the student: DINOv2's block masks, drawn from a counter so that any rank can redraw its own."""

import math

import numpy as np

from kit.streams import Stream, generator

MIN_BLOCK = 4  # patches
MIN_ASPECT = 0.3


def draw_masks(side: int, views: int, *, share: float, ratio: tuple[float, float], seed: int, step: int) -> np.ndarray:
    """Return bool [views, side * side] masks of one step of the whole global batch.

    Exactly int(views * share) views are masked. Their target ratios are drawn from as many equal strata of `ratio`, so that
    a small batch still spans it; then the views are shuffled. Source: DINOv2, its collate function and mask generator.

    Args:
        side: patches along the side of a view.
        seed, step: the counter of the draw.
    """
    random = generator(seed, Stream.MASKS, step)
    masked = int(views * share)
    edges = np.linspace(*ratio, masked + 1)
    mask_VN = np.zeros((views, side * side), bool)
    for i in range(masked):
        wanted = int(side * side * random.uniform(edges[i], edges[i + 1]))
        mask_VN[i] = block_mask(side, wanted, random).reshape(-1)
    return mask_VN[random.permutation(views)]


def block_mask(side: int, wanted: int, random: np.random.Generator) -> np.ndarray:
    """Return a bool [side, side] mask of at most `wanted` patches made of rectangles; fewer if ten tries find no room."""
    mask = np.zeros((side, side), bool)
    largest = 0.5 * side // 1 * side  # DINOv2 computes its largest block in this order: 666 patches at side 37
    count = 0
    while count < wanted:
        added = _add_block(mask, min(wanted - count, largest), random)
        if added == 0:
            break
        count += added
    return mask


def _add_block(mask: np.ndarray, most: float, random: np.random.Generator) -> int:
    """Mask one rectangle that adds between 1 and `most` patches; return how many it added, 0 after ten failures."""
    side = len(mask)
    for _ in range(10):
        area = MIN_BLOCK + (most - MIN_BLOCK) * random.random()  # with fewer than 4 to go, down to that many
        aspect = math.exp(random.uniform(math.log(MIN_ASPECT), -math.log(MIN_ASPECT)))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if width >= side or height >= side:
            continue
        top, left = random.integers(0, side - height, endpoint=True), random.integers(0, side - width, endpoint=True)
        block = mask[top : top + height, left : left + width]
        added = height * width - int(block.sum())
        if 0 < added <= most:
            block[:] = True
            return added
    return 0
