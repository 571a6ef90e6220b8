"""How far two backends may differ, by the dtype of the result: {dtype: {rtol, atol}} for intensities in [0, 1]."""

import torch

TOLERANCE = {
    torch.float32: {"rtol": 0.0, "atol": 2e-5},  # a dozen float32 operations, and coordinates whose fractions are good to 4e-6
    torch.float16: {"rtol": 1e-3, "atol": 2e-5},  # one rounding to 11 bits
    torch.bfloat16: {"rtol": 8e-3, "atol": 2e-5},  # one rounding to 8 bits; Triton's interpreter truncates: one unit
}
FLIPS_SAME_INPUT = 1e-5  # share of Poisson counts that may differ by a whole number: a uniform number at a threshold
FLIPS_FUSED_VIEW = 1e-3  # the same where the intensity itself differs in its last bits
