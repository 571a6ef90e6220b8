"""All random streams of kit in one table: the purpose of each, and the key that separates it from all others.

A stream is a Philox 4x64 generator of numpy: the key is (seed, purpose), the counter up to three numbers, say epoch and step.
There is no state between calls, so any process can draw any part, in any order, and gets the same numbers.

What a view draws per sample and pixel (jitter, warp, noise) comes from another generator, Philox 4x32, which also runs on the
GPU; its purposes are in kit.kernels.philox.
"""

import enum

import numpy as np

_RUN = 1 << 63  # set in the purpose of a run's streams, never in that of a made plate's


class Stream(enum.IntEnum):
    """What a run draws, and the counter of each stream."""

    WELL_PASSES = 1  # the order in which a pass deals out the wells of a group, or all sites: epoch, pass, group
    SITE_ORDER = 2  # the order in which each well shows its sites: epoch
    EXTRA_GROUPS = 3  # the groups that give one well more where they do not divide the batch: epoch, step
    SLOTS = 4  # the order of the samples in a batch: epoch, step
    SECOND_SITE = 5  # which other site of its well each sample takes: epoch, step
    BOXES = 6  # crop boxes, mirrors and quarter turns: epoch, step, crop of the sample
    MASKS = 7  # which patches the student does not see: step
    DROP_PATH = 8  # which rows each residual branch leaves out: step
    KNN_WELLS = 9  # the compounds that the online k-NN looks at
    BACKBONE = 10  # initial weights
    DINO_HEAD = 11
    IBOT_HEAD = 12
    NUCLEI = 13  # the sites that kit views measures
    WELL_SHUFFLE = 14  # where the wells of a plate stand in a permutation null; its seed is the number of the shuffle
    INTERVALS = 15  # the plates or compounds of a bootstrap
    ORDERS = 16  # the orders of wells that a null of average precision draws: positives, ranked wells, query
    DROP_CHANNELS = 17  # which channels one of the two networks sees: step
    CELLS = 18  # the cell or the place of its site that each sample's crops are drawn around: epoch, step
    PROBES = 19  # initial weights of what is trained on features or beside them: its seed is the number of the run


# What a made plate draws. Their numbers are part of what the plates of a seed look like: add at the end, never move.
MADE_PLATE = ("textures", "positions", "response", "artefact", "plate", "well", "missing", "site", "camera", "ids")


def random_words(n: int, seed: int, stream: Stream, *counter: int) -> np.ndarray:
    """Return n random words of a run's stream, uint64: the same on every machine."""
    return _philox(seed, _RUN | stream, counter).random_raw(n)


def shuffled(n: int, seed: int, stream: Stream, *counter: int) -> np.ndarray:
    """Return 0 ... n - 1 in an order drawn from a run's stream."""
    return np.argsort(random_words(n, seed, stream, *counter), kind="stable")


def generator(seed: int, stream: Stream, *counter: int) -> np.random.Generator:
    """Return a run's stream as a numpy generator, for draws whose number is not known beforehand."""
    return np.random.Generator(_philox(seed, _RUN | stream, counter))


def torch_seed(seed: int, stream: Stream) -> int:
    """Return a seed for torch's own generator, 0 to 2**63 - 1: initial weights are drawn by torch."""
    return int(random_words(1, seed, stream)[0] >> np.uint64(1))


def made_plate(seed: int, role: str, plate: int = 0, well: int = 0, site: int = 0) -> np.random.Generator:
    """Return the generator of one part of a made plate; its place has 16 bits each for role, plate, well and site."""
    return np.random.Generator(_philox(seed, MADE_PLATE.index(role) << 48 | plate << 32 | well << 16 | site))


def _philox(seed: int, purpose: int, counter: tuple[int, ...] = ()) -> np.random.Philox:
    words = [0, *counter, *[0] * (3 - len(counter))]  # word 0 counts the blocks that are drawn
    return np.random.Philox(key=np.array([seed, purpose], np.uint64), counter=np.array(words, np.uint64))
