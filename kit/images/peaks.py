"""Find the peaks of every spot of an image at once. H W pixels, N candidates or peaks."""

import numpy as np


def spot_peaks(hill_HW: np.ndarray, spot_HW: np.ndarray, distance: int) -> np.ndarray:
    """Return y and x of the peaks by spot, highest first, int64 [N, 2]: those of scikit-image's `peak_local_max` with labels.

    A peak is as high as every pixel of its spot within `distance` pixels along both axes; of equal ones that are closer than
    `distance` the first counts.

    Args:
        hill_HW: heights, above 0 in the spots alone.
        spot_HW: a number per spot, else 0; pixels of two spots touch at corners at most.
    """
    from scipy.spatial import KDTree

    place_N2 = np.argwhere(_summits(hill_HW))
    order = np.lexsort((-hill_HW[tuple(place_N2.T)], spot_HW[tuple(place_N2.T)]))
    place_N2 = place_N2[order]
    spot_N, height_N = spot_HW[tuple(place_N2.T)], hill_HW[tuple(place_N2.T)]
    first, later = KDTree(place_N2).query_pairs(distance, p=np.inf, output_type="ndarray").T if len(place_N2) else place_N2.T
    same = spot_N[first] == spot_N[later]
    first, later = first[same], later[same]
    peak_N = np.ones(len(place_N2), dtype=bool)
    peak_N[later[height_N[first] > height_N[later]]] = False
    peak_N[peak_N] = _highest(hill_HW, spot_HW, place_N2[peak_N], distance)
    equal = peak_N[first] & peak_N[later] & (np.abs(place_N2[first] - place_N2[later]).max(axis=1) < distance)
    for earlier, one in sorted(zip(first[equal].tolist(), later[equal].tolist(), strict=True)):
        peak_N[one] &= not peak_N[earlier]
    return place_N2[peak_N]


def _summits(hill_HW: np.ndarray) -> np.ndarray:
    """Return where a hill is as high as its four neighbours."""
    summit_HW = hill_HW > 0
    for lower, upper in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        summit_HW[lower] &= hill_HW[lower] >= hill_HW[upper]
        summit_HW[upper] &= hill_HW[upper] >= hill_HW[lower]
    return summit_HW


def _highest(hill_HW: np.ndarray, spot_HW: np.ndarray, place_N2: np.ndarray, distance: int) -> np.ndarray:
    """Return whether no pixel of the same spot within the distance is higher, of each place."""
    around = np.arange(-distance, distance + 1)
    y_N, x_N = place_N2.T
    y_NS1 = np.clip(y_N[:, None] + around, 0, len(hill_HW) - 1)[:, :, None]
    x_N1S = np.clip(x_N[:, None] + around, 0, hill_HW.shape[1] - 1)[:, None]
    rival_NSS = (hill_HW[y_NS1, x_N1S] > hill_HW[y_N, x_N, None, None]) & (spot_HW[y_NS1, x_N1S] == spot_HW[y_N, x_N, None, None])
    return ~rival_NSS.any(axis=(1, 2))
