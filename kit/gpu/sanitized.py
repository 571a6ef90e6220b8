"""Every kernel of the CUDA extension once, on small inputs at odd sizes: what compute-sanitizer watches.

compute-sanitizer python -m kit.gpu.sanitized [--rehearse]
"""

import os
import sys

import torch

from kit.kernels.blur import blur
from kit.kernels.elastic_warp import elastic_lattice, rotation
from kit.kernels.microscope_noise import Noise
from kit.kernels.tile import tile
from kit.kernels.view import Jitter, Normalise, view
from kit.kernels.warp import Warp

SIZES = ((40, 33), (65, 71), (17, 90))
B, C = 3, 5


def views(device: torch.device) -> None:
    """Views with every part, of both kinds of pixels, in every dtype of the output, and normalised by the crop."""
    for H, W in SIZES:
        pixels = torch.randint(0, 256, (B, C, H, W), dtype=torch.uint8, device=device)
        sample_B = torch.arange(B, device=device)
        lattice = elastic_lattice(sample_B, H, W, alpha=200.0, sigma=12.0, seed=3, stream=2)
        kind_B = torch.tensor([2, 1, 0], dtype=torch.int32, device=device)
        warp = Warp(kind_B, rotation(torch.arange(B, device=device) * 1.2, H, W), lattice, 12.0 / 2.5)
        jitter = Jitter(torch.ones(B, C, device=device), torch.zeros(B, C, device=device))
        on_B = torch.ones(B, dtype=torch.int32, device=device)
        noise = Noise(on_B, sample_B, (0.1, 0.03, 0.0, 0.01, 1 / 320), (0.05,) * C, (0.01,) * C, 7)
        for normalise in (None, Normalise((5.0,) * C, (-1.0,) * C), Normalise(floor=0.1)):
            for dtype in (torch.float32, torch.float16, torch.bfloat16):
                view(pixels, warp=warp, jitter=jitter, noise=noise, normalise=normalise, dtype=dtype)
                view(pixels.float() / 255, noise=noise, normalise=normalise, dtype=dtype)
        blur(pixels.float() / 255, torch.tensor([0.0, 0.7, 2.0], device=device), torch.tensor([1, 0, 1], device=device).int())


def tiles(device: torch.device) -> None:
    """Crops of device memory, and of pinned host memory where there is a GPU; smaller, larger and as large as their boxes."""
    sites = torch.randint(0, 256, (4, C, 70, 67), dtype=torch.uint8)
    site = torch.arange(8) % 4
    box = torch.tensor([[0, 0, 70, 67], [69, 66, 1, 1], [3, 5, 40, 30], [10, 0, 17, 67]] * 2)
    flip, turn = torch.arange(8) % 2 == 0, torch.arange(8) % 4
    sources = [sites.to(device), *([sites.pin_memory()] if device.type == "cuda" else [])]
    for side in (1, 16, 33, 98):
        for source in sources:
            tile(
                source, site, box, flip, turn, side=side, out_BCPP=torch.empty(8, C, side, side, dtype=torch.uint8, device=device)
            )


def main() -> None:
    device = torch.device("cpu" if "--rehearse" in sys.argv else "cuda")
    if device.type == "cuda":
        os.environ["KIT_BACKEND"] = "cuda"
    views(device)
    tiles(device)
    if device.type == "cuda":
        torch.cuda.synchronize()
    sys.stdout.write("every kernel has run\n")


if __name__ == "__main__":
    main()
