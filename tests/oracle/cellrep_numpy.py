"""CellRep by numpy, channel by channel and place by place: its Algorithm 1, sections 3.3 and A.1, read as docs/papers.md says."""

import numpy as np

from tests.oracle import dinov2_numpy as plain


def encode_channel(image_PP: np.ndarray, w: dict) -> np.ndarray:
    """Algorithm 1, EncodeChannels: 3 x 3 convolution without padding, ReLU, mean, linear."""
    windows = np.lib.stride_tricks.sliding_window_view(image_PP, (3, 3))
    answers = np.einsum("yxij,fij->fyx", windows, w["encoder.conv.weight"][:, 0]) + w["encoder.conv.bias"][:, None, None]
    mean_F = np.maximum(answers, 0).mean((1, 2))
    return w["encoder.linear.weight"] @ mean_F + w["encoder.linear.bias"]


def patch_embed(x_CPP: np.ndarray, w: dict, patch: int) -> np.ndarray:
    """Algorithm 1, PatchEmbed, of one view: tokens [C, L, D]; its transpose is left out, which its own sum does not allow."""
    tokens = []
    for image_PP in x_CPP:
        context_D = encode_channel(image_PP, w)
        n = len(image_PP) // patch
        for row in range(n):
            for column in range(n):
                block = image_PP[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
                tokens.append((w["proj.weight"][:, 0] * block).sum((1, 2)) + w["proj.bias"] + context_D)
    tokens_ND = plain.layer_norm(np.array(tokens), w["norm.weight"], w["norm.bias"])
    return tokens_ND.reshape(len(x_CPP), -1, tokens_ND.shape[-1])


def mixed(tokens_CLD: np.ndarray, w: dict, *, blocks: int, heads: int, pool: str) -> np.ndarray:
    """Section 3.3 of one view: the same positions for every channel, a transformer, the mean over channels: [L, D]."""
    C, L, D = tokens_CLD.shape
    n, no_class = round(L**0.5), np.zeros((1, 1, D))
    x = (tokens_CLD + plain.positions(np.concatenate((no_class, w["pos_embed"]), 1), n, n, 0.1)[1:]).reshape(1, C * L, D)
    for i in range(blocks):
        x = plain.block(x, w, f"blocks.{i}.", heads)
    if pool == "window":
        return np.array([x[0, C * place : C * place + C].mean(0) for place in range(L)])
    return np.array([np.mean([x[0, channel * L + place] for channel in range(C)], axis=0) for place in range(L)])


def losses(student_global, student_local, teacher_global, *, student_t=0.1, teacher_t=0.04, centre=0.0):
    """Section A.1 of logits [V, B, K]: L_global, L_local and KL(uniform || mean over the batch), in loops."""
    target = plain.softmax((teacher_global - centre) / teacher_t)
    B = teacher_global.shape[1]

    def cross(i, j, rows):
        return -(target[i] * np.log(plain.softmax(rows[j] / student_t))).sum() / B

    views = range(len(teacher_global))
    whole = sum(cross(i, j, student_global) for i in views for j in views if j != i)
    local = sum(cross(i, k, student_local) for i in views for k in range(len(student_local)))
    mean_K = plain.softmax(student_global / student_t).mean((0, 1))
    K = len(mean_K)
    return whole, local, sum(1 / K * np.log(1 / K / p) for p in mean_K)


def backbone(x_BCPP: np.ndarray, w: dict, *, patch: int, blocks: int, depth: int, heads: int, pool: str = "location"):
    """Class tokens [B, D] and patch tokens [B, L, D]: the pooled tokens take the place of a plain ViT's patches."""
    embed, mixer = (plain.part(w, prefix) for prefix in ("patch_embed.", "mixer."))
    pooled_BLD = np.array([mixed(patch_embed(x, embed, patch), mixer, blocks=blocks, heads=heads, pool=pool) for x in x_BCPP])
    B, L, D = pooled_BLD.shape
    n = round(L**0.5)
    as_it_is = {"patch_embed.proj.weight": np.eye(D)[:, :, None, None], "patch_embed.proj.bias": np.zeros(D)}
    image_BDnn = pooled_BLD.transpose(0, 2, 1).reshape(B, D, n, n)
    return plain.vit(image_BDnn, w | as_it_is, patch=1, depth=depth, heads=heads)
