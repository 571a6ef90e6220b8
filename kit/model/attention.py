"""Attention between the tokens of a view. B views, h heads, N tokens, d width of a head."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {  # torch's, by the values of train.attention
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
MOST_TOKENS = 700  # where, in bfloat16 on a CPU, whole score matrices stop being faster


def attend(query_BhNd: Tensor, key_BhNd: Tensor, value_BhNd: Tensor, backend: str = "auto") -> Tensor:
    """Return softmax(query key^T / sqrt(d)) value, [B, h, N, d], by one of BACKENDS; auto: the best there is.

    On a CPU the way back of torch's fused attention takes two to four times as long in bfloat16 as in float32 (50 to 200
    tokens). There, up to 700 tokens, plain products take its place where a gradient is wanted; they keep the scores,
    [B, h, N, N], for the way back.
    """
    if backend != "auto":
        with sdpa_kernel(BACKENDS[backend]):
            return F.scaled_dot_product_attention(query_BhNd, key_BhNd, value_BhNd)
    if query_BhNd.device.type == "cpu" and query_BhNd.dtype == torch.bfloat16 and query_BhNd.requires_grad:
        tokens, width = query_BhNd.shape[-2:]
        if tokens <= MOST_TOKENS:
            scores_BhNN = (query_BhNd * width**-0.5) @ key_BhNd.transpose(-2, -1)
            return scores_BhNN.softmax(dim=-1) @ value_BhNd
    return F.scaled_dot_product_attention(query_BhNd, key_BhNd, value_BhNd)
