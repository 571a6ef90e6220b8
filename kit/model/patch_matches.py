"""Which patch of one site is which of another to a network: the cosine of their tokens.

N patches of the first site, M of the second (row-major), D width of a token.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Matches:
    """Patches of a second site for those of a first.

    cosine_NM: of every two patches. nearest_N: the place in the second of its nearest foreground patch, -1 on background or where
    the second has none. mutual_N: whether that patch's own nearest in the first is this one.
    """

    cosine_NM: np.ndarray
    nearest_N: np.ndarray
    mutual_N: np.ndarray


def match_patches(first_ND: Tensor, second_MD: Tensor, first_N: np.ndarray, second_M: np.ndarray) -> Matches:
    """Return the nearest by cosine among foreground patches; of equals the first.

    first_N, second_M: bool, which patches are foreground, see `patch_maps.foreground`.

    Source: Cell-DINO, figure 9B, which shows cosines with one patch; matching every patch, and both ways, is ours.
    """
    cosine_NM = _unit(first_ND) @ _unit(second_MD).T
    nearest_N, mutual_N = np.full(len(first_N), -1), np.zeros(len(first_N), dtype=bool)
    if first_N.any() and second_M.any():
        nearest_N[first_N] = np.where(second_M, cosine_NM, -np.inf)[first_N].argmax(axis=1)
        back_M = np.where(first_N[:, None], cosine_NM, -np.inf).argmax(axis=0)
        mutual_N[first_N] = back_M[nearest_N[first_N]] == np.flatnonzero(first_N)
    return Matches(cosine_NM=cosine_NM, nearest_N=nearest_N, mutual_N=mutual_N)


def _unit(token_ND: Tensor) -> np.ndarray:
    token = token_ND.detach().cpu().double().numpy()
    return token / np.maximum(np.linalg.norm(token, axis=1, keepdims=True), 1e-300)
