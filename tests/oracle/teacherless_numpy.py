"""SimCLR's projection and loss, MAE's decoder and loss, by numpy: the papers' formulas. Imports nothing of kit.

B views, C channels, P side, N patches, V of them visible, R = 2 B rows, E width of MAE's decoder, p patch side.
"""

import numpy as np

from tests.oracle import dinov2_numpy as plain


def projection(x_RD: np.ndarray, w: dict) -> np.ndarray:
    """SimCLR, section 2.1: g(h) = W2 ReLU(W1 h), with batch normalisation over all rows before the ReLU."""
    hidden = x_RD @ w["mlp.0.weight"].T + w["mlp.0.bias"]
    unit = (hidden - hidden.mean(0)) / np.sqrt(((hidden - hidden.mean(0)) ** 2).mean(0) + 1e-5)
    return np.maximum(unit * w["mlp.1.weight"] + w["mlp.1.bias"], 0) @ w["mlp.3.weight"].T + w["mlp.3.bias"]


def nt_xent(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    """Equation 1 and algorithm 1 of SimCLR as printed: z_2k-1 and z_2k are a pair; sums over k != i."""
    z = np.empty((2 * len(first), first.shape[1]))
    z[0::2], z[1::2] = first, second
    s = np.array([[a @ b / (np.sqrt(a @ a) * np.sqrt(b @ b)) for b in z] for a in z])

    def loss(i: int, j: int) -> float:
        return -np.log(np.exp(s[i, j] / temperature) / sum(np.exp(s[i, k] / temperature) for k in range(len(z)) if k != i))

    pairs = range(len(first))
    return sum(loss(2 * k, 2 * k + 1) + loss(2 * k + 1, 2 * k) for k in pairs) / (2 * len(first))


def place_code(row: int, column: int, width: int) -> np.ndarray:
    """MAE's fixed position embedding of one patch: sines and cosines of its column, then of its row."""
    rates = [10_000 ** -(k / (width // 4)) for k in range(width // 4)]
    return np.concatenate([wave([place * rate for rate in rates]) for place in (column, row) for wave in (np.sin, np.cos)])


def decoder(cls_BD: np.ndarray, patch_BVD: np.ndarray, visible: np.ndarray, side: int, w: dict, *, depth: int, heads: int):
    """MAE, figure 1 and "MAE decoder": every patch's pixels [B, N, p p C], from the visible ones and one learnt mask token."""
    width = w["mask_token"].shape[-1]
    rows = []
    for b in range(len(cls_BD)):
        tokens = [cls_BD[b] @ w["embed.weight"].T + w["embed.bias"]]
        for n in range(side * side):
            if n in visible[b]:
                token = patch_BVD[b, list(visible[b]).index(n)] @ w["embed.weight"].T + w["embed.bias"]
            else:
                token = w["mask_token"][0, 0]
            tokens.append(token + place_code(n // side, n % side, width))
        rows.append(tokens)
    x = np.array(rows)
    for i in range(depth):
        x = plain.block(x, w, f"layers.{i}.", heads)
    return plain.layer_norm(x, w["norm.weight"], w["norm.bias"])[:, 1:] @ w["pixels.weight"].T + w["pixels.bias"]


def mae_loss(painted: np.ndarray, x: np.ndarray, visible: np.ndarray, p: int, *, norm_pixels: bool) -> float:
    """The published loss, patch by patch: hidden ones only, each normalised by its own mean and variance."""
    B, C, P, _ = x.shape
    errors = []
    for b in range(B):
        for n in set(range((P // p) ** 2)) - set(visible[b]):
            row, column = divmod(n, P // p)
            square = x[b, :, row * p : row * p + p, column * p : column * p + p]
            wanted = np.array([square[c, i, j] for i in range(p) for j in range(p) for c in range(C)])
            if norm_pixels:
                variance = ((wanted - wanted.mean()) ** 2).sum() / (len(wanted) - 1)
                wanted = (wanted - wanted.mean()) / np.sqrt(variance + 1e-6)
            errors.append(((painted[b, n] - wanted) ** 2).mean())
    return float(np.mean(errors))
