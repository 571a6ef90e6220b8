"""Benchmark the view and its parts against the reference and what a competent user would write. B C H W as elsewhere.

The eager rival draws its noise with torch.poisson and randn, and its field by the usual short cut: a low-resolution
field, blurred and upsampled bicubically.
"""

import importlib.metadata
import importlib.util
import math
import os
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kit.kernels.blur import blur, blur_reference
from kit.kernels.channel_jitter import channel_jitter_reference
from kit.kernels.elastic_warp import elastic_lattice, elastic_warp_reference, rotation
from kit.kernels.microscope_noise import Noise, add_noise_reference
from kit.kernels.timing import Contestant, Task, largest_gap
from kit.kernels.view import Jitter, Normalise, channel_jitter, elastic_warp, microscope_noise, view, view_reference
from kit.kernels.warp import ELASTIC, Warp

ALPHA, SIGMA = 1200.0, 40.0  # pixels; the paper's
KORNIA_SEPARABLE = (0, 9)  # from this version on kornia blurs its elastic field along one axis, then the other
SHOT, DARK, READ = 0.1, 0.05, 0.01


class Job:
    """The inputs of one batch, all on the device."""

    def __init__(self, B: int, C: int, side: int, device: str):
        draw = torch.Generator().manual_seed(0)
        self.shape = (B, C, side, side)
        self.device = device
        self.pixels = torch.randint(0, 256, self.shape, generator=draw, dtype=torch.uint8).to(device)
        self.sample_B = torch.arange(B, device=device)
        self.angle_B = (torch.rand(B, generator=draw) * 2 * torch.pi).to(device)
        scale, shift = ((0.6 + 0.8 * torch.rand(B, C, generator=draw)).to(device) for _ in range(2))
        self.jitter = Jitter(scale, shift)
        on_B = torch.ones(B, dtype=torch.int32, device=device)
        self.noise = Noise(on_B, self.sample_B, (SHOT,) * C, (DARK,) * C, (READ,) * C, 1)
        self.kind_B = torch.full((B,), ELASTIC, dtype=torch.int32, device=device)
        self.normalise = Normalise((5.0,) * C, (-1.0,) * C)

    def warp(self) -> Warp:
        """Draw the field: part of what is timed."""
        H, W = self.shape[2:]
        lattice = elastic_lattice(self.sample_B, H, W, alpha=ALPHA, sigma=SIGMA, seed=1, stream=2)
        return Warp(self.kind_B, rotation(self.angle_B, H, W), lattice, SIGMA / 2.5)

    def ours(self, dtype: torch.dtype = torch.float32, noise: bool = True) -> Tensor:
        on = self.noise if noise else None
        return view(self.pixels, warp=self.warp(), jitter=self.jitter, noise=on, normalise=self.normalise, dtype=dtype)

    def reference(self, noise: bool = True) -> Tensor:
        on = self.noise if noise else None
        return view_reference(self.pixels, warp=self.warp(), jitter=self.jitter, noise=on, normalise=self.normalise)


def eager_field(B: int, side: int, device: torch.device) -> Tensor:
    """A smooth random field at 1/16 of the resolution, enlarged: [B, 2, side, side], pixels."""
    step, coarse = 16, side // 16 + 20
    reach = math.ceil(4 * SIGMA / step)
    taps = torch.exp(-(torch.arange(-reach, reach + 1, device=device) ** 2) / (2 * (SIGMA / step) ** 2))
    taps = taps / taps.sum() / step
    field = torch.randn(B * 2, 1, coarse + 2 * reach, coarse + 2 * reach, device=device)
    field = F.conv2d(F.conv2d(field, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1)) * ALPHA
    wide = F.interpolate(field, scale_factor=step, mode="bicubic", align_corners=False)
    return wide[:, 0, :side, :side].view(B, 2, side, side)


def eager_warp(image: Tensor, angle_B: Tensor) -> Tensor:
    B, _, side, _ = image.shape
    grid = F.affine_grid(_matrices(angle_B), list(image.shape), align_corners=True)
    grid = grid + eager_field(B, side, image.device).permute(0, 2, 3, 1) * (2 / (side - 1))
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


def _matrices(angle_B: Tensor) -> Tensor:
    cos, sin, zero = angle_B.cos(), angle_B.sin(), torch.zeros_like(angle_B)
    return torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)


def eager_noise(x: Tensor) -> Tensor:
    x = torch.poisson(x.clamp(0, 1) / SHOT) * SHOT + DARK
    return (x + torch.randn_like(x) * READ).clamp_(0, 1)


def eager_view(pixels: Tensor, angle_B: Tensor, scale_BC: Tensor, shift_BC: Tensor, noise: bool) -> Tensor:
    x = eager_warp(pixels.float() / 255, angle_B)
    x = x * scale_BC[..., None, None] + shift_BC[..., None, None]
    return (eager_noise(x) if noise else x) * 5 - 1


def opencv_view(pixels: np.ndarray, angles: np.ndarray, scale_BC: np.ndarray, shift_BC: np.ndarray) -> np.ndarray:
    """One image at a time with OpenCV: GaussianBlur for the field, remap, numpy's Poisson and normal numbers."""
    import cv2

    draw = np.random.default_rng(0)
    B, C, side, _ = pixels.shape
    y, x = np.mgrid[:side, :side].astype(np.float32)
    out = np.empty(pixels.shape, np.float32)
    for i in range(B):
        field = [cv2.GaussianBlur(draw.standard_normal((side, side), np.float32), (0, 0), SIGMA) * ALPHA for _ in range(2)]
        cos, sin, centre = math.cos(angles[i]), math.sin(angles[i]), (side - 1) / 2
        at_x = cos * (x - centre) - sin * (y - centre) + centre + field[0]
        at_y = sin * (x - centre) + cos * (y - centre) + centre + field[1]
        for c in range(C):
            plane = cv2.remap(pixels[i, c], at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            plane = np.clip(plane * np.float32(scale_BC[i, c] / 255) + shift_BC[i, c], 0, 1)
            plane = draw.poisson(plane / SHOT).astype(np.float32) * SHOT + DARK
            plane += draw.standard_normal(plane.shape, np.float32) * READ
            out[i, c] = np.clip(plane, 0, 1) * 5 - 1
    return out


def _optional(name: str, module: str, make: Callable[[], Callable[[], object]]) -> Contestant:
    if importlib.util.find_spec(module) is None:
        return Contestant(name, skip=f"{module} is not installed")
    return Contestant(name, make())


def _kornia(job: Job, *, compiled: bool) -> Contestant:
    name = "kornia, separable field" + ", compiled" * compiled
    if importlib.util.find_spec("kornia") is None:
        return Contestant(name, skip="kornia is not installed")
    version = importlib.metadata.version("kornia")
    if tuple(int(part) for part in version.split(".")[:2]) < KORNIA_SEPARABLE:
        return Contestant(name, skip=f"kornia {version} blurs its field by one two-dimensional convolution; 0.9 is separable")
    from kornia.augmentation import AugmentationSequential, RandomElasticTransform, RandomRotation

    taps = int(8 * SIGMA + 1)
    pipeline = AugmentationSequential(
        RandomRotation(180.0, p=1.0),
        RandomElasticTransform((taps, taps), (SIGMA, SIGMA), (1.0, 1.0), padding_mode="reflection", p=1.0),
    )
    if compiled and (reason := _not_compiled(job)):
        return Contestant(name, skip=reason)
    run = torch.compile(pipeline) if compiled else pipeline
    return Contestant(name, lambda: run(job.pixels.float() / 255))


def _albumentations(job: Job) -> Callable[[], Callable[[], object]]:
    def make() -> Callable[[], object]:
        import albumentations
        import cv2

        edge = {"border_mode": cv2.BORDER_REFLECT_101, "p": 1.0}
        turn = albumentations.Rotate(limit=(-180, 180), **edge)
        op = albumentations.Compose([turn, albumentations.ElasticTransform(alpha=ALPHA, sigma=SIGMA, **edge)])
        images = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in job.pixels.cpu()]
        return lambda: [op(image=image)["image"] for image in images]

    return make


def _not_compiled(job: Job) -> str:
    cpu = job.device == "cpu" and os.environ.get("KIT_BENCH_COMPILE") != "1"
    return "KIT_BENCH_COMPILE=1 compiles it for the CPU too (a minute)" if cpu else ""


def _compiled(job: Job, noise: bool) -> Contestant:
    if reason := _not_compiled(job):
        return Contestant("eager torch, compiled", skip=reason)
    compiled = torch.compile(eager_view)
    return Contestant("eager torch, compiled", lambda: compiled(job.pixels, job.angle_B, *_terms(job), noise))


def _terms(job: Job) -> tuple[Tensor, Tensor]:
    return job.jitter.scale_BC, job.jitter.shift_BC


def tasks(device: str) -> list[Task]:
    """Return the tables of this file for `cpu` or `cuda`, the most important first; a GPU takes a whole batch of the recipe."""
    whole = [Job(4, 5, 518, device)] if device == "cpu" else [Job(128, 5, 518, device), Job(64, 5, 224, device)]
    found = [_whole_view(job, job.pixels.numel(), noise=noise) for job in whole for noise in (True, False)]
    return found + _single_ops(whole[0], whole[0].pixels.numel())


def _whole_view(job: Job, n: int, noise: bool) -> Task:
    rivals = [
        Contestant("kit", lambda: job.ours(torch.float32 if job.device == "cpu" else torch.bfloat16, noise)),
        Contestant("kit's reference", lambda: job.reference(noise)),
        Contestant("eager torch", lambda: eager_view(job.pixels, job.angle_B, *_terms(job), noise)),
        _compiled(job, noise),
    ]
    if noise and job.device == "cpu":
        pixels, angles, scale_BC, shift_BC = (t.numpy() for t in (job.pixels, job.angle_B, *_terms(job)))
        rivals.append(_optional("OpenCV and numpy", "cv2", lambda: lambda: opencv_view(pixels, angles, scale_BC, shift_BC)))
    title = "x".join(map(str, job.shape)) + " view, " + ("all on" if noise else "no noise")
    width = 4 if job.device == "cpu" else 2  # bytes of an output pixel
    return Task(title, job.device, n, n * (1 + width), tuple(rivals), lambda: _largest_rounding(job, noise))


def _largest_rounding(job: Job, noise: bool) -> float:
    gap = (job.ours(noise=noise) - job.reference(noise)).abs()
    return float(gap[gap < 0.4].max())  # a flipped count is 0.5 here: at most one in a thousand, see the tests


def _single_ops(job: Job, n: int) -> list[Task]:
    shape, device, image = "x".join(map(str, job.shape)), job.device, job.pixels.float() / 255
    warp, (scale, shift) = job.warp(), _terms(job)
    sigma_B = torch.full((len(image),), 1.5, device=device)
    solarise_B = torch.ones(len(image), dtype=torch.int32, device=device)
    jitter = (
        Contestant("kit", lambda: channel_jitter(job.pixels, scale, shift)),
        Contestant("eager torch", lambda: (job.pixels.float() / 255) * scale[..., None, None] + shift[..., None, None]),
    )
    noise = (
        Contestant("kit", lambda: microscope_noise(image, job.noise)),
        Contestant("kit's reference", lambda: add_noise_reference(image, job.noise)),
        Contestant("eager torch", lambda: eager_noise(image)),
    )
    warps = (
        Contestant("kit", lambda: elastic_warp(job.pixels, job.warp())),
        Contestant("kit's reference", lambda: elastic_warp_reference(job.pixels, job.warp())),
        Contestant("eager torch, low-resolution field", lambda: eager_warp(job.pixels.float() / 255, job.angle_B)),
        _kornia(job, compiled=False),
        _kornia(job, compiled=True),
        *([_optional("albumentations, two gathers, uint8", "albumentations", _albumentations(job))] if device == "cpu" else []),
    )
    blurs = (
        Contestant("kit", lambda: blur(image, sigma_B, solarise_B)),
        Contestant("kit's reference", lambda: blur_reference(image, sigma_B, solarise_B)),
    )
    jittered = channel_jitter_reference(job.pixels, scale, shift)
    return [
        Task(f"{shape} channel jitter", device, n, 5 * n, jitter,
             lambda: largest_gap(channel_jitter(job.pixels, scale, shift), jittered)),
        Task(f"{shape} microscope noise", device, n, 8 * n, noise),
        Task(f"{shape} rotation and elastic warp", device, n, 5 * n, warps,
             lambda: largest_gap(elastic_warp(job.pixels, warp), elastic_warp_reference(job.pixels, warp))),
        Task(f"{shape} DINOv2 blur and solarise", device, n, 8 * n, blurs,
             lambda: largest_gap(blur(image, sigma_B, solarise_B), blur_reference(image, sigma_B, solarise_B))),
    ]  # fmt: skip
