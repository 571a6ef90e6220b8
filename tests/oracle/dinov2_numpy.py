"""DINOv2's forward pass and losses read again in numpy, float64, loops where they are clearest. Imports nothing of kit.

B views, C channels, P side, N tokens, D embedding, R rows, K prototypes. `w` is a dict of arrays by parameter name.
"""

import numpy as np
from scipy.special import erf


def part(weights: dict, prefix: str) -> dict:
    """The weights under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * weight + bias


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def silu(x):
    return x / (1 + np.exp(-x))


def patches(x, weight, bias, patch):
    _B, _C, H, W = x.shape
    tokens = []
    for top in range(0, H, patch):
        for left in range(0, W, patch):
            block = x[:, :, top : top + patch, left : left + patch]
            tokens.append(np.einsum("bcij,dcij->bd", block, weight) + bias)
    return np.stack(tokens, 1)


def cubic(distance, a=-0.75):
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    if d < 2:
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return 0.0


def bicubic_matrix(old, new, scale):
    """Rows: new places; columns: weights over the old ones; `scale` is new over old, offset included."""
    matrix = np.zeros((new, old))
    for i in range(new):
        centre = (i + 0.5) / scale - 0.5
        first = int(np.floor(centre)) - 1
        for j in range(first, first + 4):
            matrix[i, min(max(j, 0), old - 1)] += cubic(centre - j)
    return matrix


def antialiased_matrix(old, new):
    """The same between whole grids with a kernel that widens as the grid shrinks, sharper (a = -0.5), cut off at the edges."""
    step = old / new
    wide = max(step, 1.0)
    matrix = np.zeros((new, old))
    for i in range(new):
        centre = (i + 0.5) * step
        for j in range(old):
            if abs(j + 0.5 - centre) < 2 * wide:
                matrix[i, j] = cubic((j + 0.5 - centre) / wide, a=-0.5)
        matrix[i] /= matrix[i].sum()
    return matrix


def positions(pos_embed, rows, columns, offset, antialias=False):
    """The embedding at another grid. DINOv2 with registers: antialiased, no offset; without: plain, offset 0.1."""
    side = round(np.sqrt(pos_embed.shape[1] - 1))
    if rows == columns == side:
        return pos_embed[0]
    grid = pos_embed[0, 1:].reshape(side, side, -1)
    if antialias:
        assert offset == 0
        down, across = antialiased_matrix(side, rows), antialiased_matrix(side, columns)
    else:
        down = bicubic_matrix(side, rows, (rows + offset) / side)
        across = bicubic_matrix(side, columns, (columns + offset) / side)
    grid = np.einsum("ij,kl,jld->ikd", down, across, grid)
    return np.concatenate((pos_embed[0, :1], grid.reshape(rows * columns, -1)))


def attention(x, w, prefix, heads):
    B, N, D = x.shape
    qkv = x @ w[prefix + "qkv.weight"].T + w[prefix + "qkv.bias"]
    query, key, value = (qkv[..., i * D : (i + 1) * D].reshape(B, N, heads, D // heads) for i in range(3))
    scores = softmax(np.einsum("bnhd,bmhd->bhnm", query, key) / np.sqrt(D // heads))
    mixed = np.einsum("bhnm,bmhd->bnhd", scores, value).reshape(B, N, D)
    return mixed @ w[prefix + "proj.weight"].T + w[prefix + "proj.bias"]


def feed_forward(x, w, prefix):
    if prefix + "w12.weight" in w:
        both = x @ w[prefix + "w12.weight"].T + w[prefix + "w12.bias"]
        half = both.shape[-1] // 2
        return (silu(both[..., :half]) * both[..., half:]) @ w[prefix + "w3.weight"].T + w[prefix + "w3.bias"]
    hidden = gelu(x @ w[prefix + "fc1.weight"].T + w[prefix + "fc1.bias"])
    return hidden @ w[prefix + "fc2.weight"].T + w[prefix + "fc2.bias"]


def block(tokens, w, prefix, heads):
    """One transformer block, [B, N, D] to the same."""
    normed = layer_norm(tokens, w[prefix + "norm1.weight"], w[prefix + "norm1.bias"])
    tokens = tokens + attention(normed, w, prefix + "attn.", heads) * w[prefix + "ls1.gamma"]
    normed = layer_norm(tokens, w[prefix + "norm2.weight"], w[prefix + "norm2.bias"])
    return tokens + feed_forward(normed, w, prefix + "mlp.") * w[prefix + "ls2.gamma"]


def vit(x, w, *, patch, depth, heads, mask=None, offset=0.1, antialias=False, visible=None):
    """Return class tokens [B, D] and patch tokens [B, N, D]; `visible` [B, V]: these patches alone are seen."""
    B, _, H, W = x.shape
    tokens = patches(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], patch)
    if mask is not None:
        tokens = np.where(mask[..., None], w["mask_token"][None], tokens)
    tokens = np.concatenate((np.repeat(w["cls_token"], B, 0), tokens), 1)
    tokens = tokens + positions(w["pos_embed"], H // patch, W // patch, offset, antialias)
    if visible is not None:
        tokens = np.stack([tokens[b, [0, *(1 + n for n in visible[b])]] for b in range(B)])
    registers = 0
    if "register_tokens" in w:
        registers = w["register_tokens"].shape[1]
        tokens = np.concatenate((tokens[:, :1], np.repeat(w["register_tokens"], B, 0), tokens[:, 1:]), 1)
    for i in range(depth):
        tokens = block(tokens, w, f"blocks.{i}.", heads)
    tokens = layer_norm(tokens, w["norm.weight"], w["norm.bias"])
    return tokens[:, 0], tokens[:, 1 + registers :]


def head_logits(x, w):
    """Three linear layers with GELU between, normalise, weight-normed prototypes."""
    for i in (0, 2, 4):
        x = x @ w[f"mlp.{i}.weight"].T + w[f"mlp.{i}.bias"]
        x = gelu(x) if i < 4 else x
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    direction = w["last_layer.weight_v"] / np.linalg.norm(w["last_layer.weight_v"], axis=1, keepdims=True)
    return x @ (w["last_layer.weight_g"] * direction).T


def sinkhorn(logits, temperature, steps=3):
    """Targets [R, K]: alternately equal prototypes and equal rows, written as the loop of the SwAV paper."""
    Q = np.exp(logits / temperature).T
    K, R = Q.shape
    Q /= Q.sum()
    for _ in range(steps):
        Q /= Q.sum(1, keepdims=True) * K
        Q /= Q.sum(0, keepdims=True) * R
    return (Q * R).T


def centred(logits, centre, temperature):
    return softmax((logits - centre) / temperature)


def cross_entropy(student_logits, targets, temperature=0.1):
    """One number a row."""
    scaled = student_logits / temperature
    log_p = scaled - scaled.max(1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(1, keepdims=True))
    return -(targets * log_p).sum(1)


def koleo(x):
    """Minus the mean log distance to the nearest neighbour on the sphere, with DINOv2's two epsilons."""
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-8)
    total = 0.0
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        nearest = max(others, key=lambda j: x[i] @ x[j])
        total -= np.log(np.sqrt(((x[i] - x[nearest] + 1e-8) ** 2).sum()) + 1e-8)
    return total / len(x)


def ibot(student_logits, targets, masks, temperature=0.1):
    """DINOv2's weighting: mean over the masked patches of a view, then over all views, unmasked ones counting as zero."""
    rows = cross_entropy(student_logits, targets, temperature)
    total, start = 0.0, 0
    for mask in masks:
        n = int(mask.sum())
        if n:
            total += rows[start : start + n].mean()
        start += n
    return total / len(masks)


def cosine(base, final, steps, warmup=0, start=0.0):
    values = []
    for step in range(steps):
        if step < warmup:
            values.append(start + (base - start) * (step / (warmup - 1) if warmup > 1 else 0))
        else:
            values.append(final + 0.5 * (base - final) * (1 + np.cos(np.pi * (step - warmup) / (steps - warmup))))
    return np.array(values)
