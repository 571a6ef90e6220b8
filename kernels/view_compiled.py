"""Run the fused view and the blur in the compiled extensions: kit.kernels._cpu for CPU tensors, _cuda for GPU tensors.

They take raw pointers: kit.kernels.view checks the tensors first, and the caller keeps them alive until the work is done.
"""

from typing import Any

import torch
from torch import Tensor

from kit.kernels.channel_jitter import Jitter
from kit.kernels.exposure import Exposure
from kit.kernels.extension import cpu_extension, cuda_extension, loaded
from kit.kernels.microscope_noise import Noise
from kit.kernels.normalise import Normalise
from kit.kernels.philox import NOISE, NOISE_COARSE, stream_of
from kit.kernels.poisson import coarse_table, fine_table
from kit.kernels.warp import Warp

OUT_KINDS = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
CHANNELS_MOST = 64


def launch_view(
    pixels_BCHW: Tensor,
    *,
    warp: Warp | None,
    jitter: Jitter | None,
    exposure: Exposure | None,
    noise: Noise | None,
    normalise: Normalise | None,
    dtype: torch.dtype,
) -> Tensor:
    """Return the views; arguments as kit.kernels.view.view."""
    if pixels_BCHW.shape[1] > CHANNELS_MOST:
        raise ValueError(f"pixels_BCHW has {pixels_BCHW.shape[1]} channels: the compiled view takes at most {CHANNELS_MOST}")
    on_cpu = pixels_BCHW.device.type == "cpu"
    floor = normalise.floor if normalise is not None else None
    out = torch.empty_like(pixels_BCHW, dtype=torch.float32 if on_cpu or floor is not None else dtype)
    extension = loaded(cpu_extension() if on_cpu else cuda_extension())
    parts: dict[str, Any] = {"warp": warp, "jitter": jitter, "exposure": exposure, "noise": noise, "normalise": normalise}
    args = fill_args(extension.ViewArgs(), pixels_BCHW, out, **parts)
    if on_cpu:
        args.floor = -1 if floor is None else floor
        args.threads = torch.get_num_threads()
        extension.view(args)
        return out.to(dtype)
    stream = torch.cuda.current_stream().cuda_stream
    extension.view(args, stream)
    return out if floor is None else _standardised(out, floor, dtype, stream)


def fill_args(
    args: Any,
    pixels_BCHW: Tensor,
    out: Tensor,
    *,
    warp: Warp | None,
    jitter: Jitter | None,
    exposure: Exposure | None,
    noise: Noise | None,
    normalise: Normalise | None,
) -> Any:
    """Return the extension's ViewArgs `args` filled in; standardisation of planes is left to the caller."""
    args.batch, args.channels, args.height, args.width = pixels_BCHW.shape
    args.pixels, args.out = pixels_BCHW.data_ptr(), out.data_ptr()
    args.pixel_bytes, args.out_kind = pixels_BCHW.element_size(), OUT_KINDS[out.dtype]
    if warp is not None:
        args.kind, args.affine = warp.kind_B.data_ptr(), warp.affine_B6.data_ptr()
        if warp.lattice_B2KK is not None:
            args.lattice, args.per_spacing = warp.lattice_B2KK.data_ptr(), 1 / warp.spacing
            args.lattice_height, args.lattice_width = warp.lattice_B2KK.shape[2:]
    if jitter is not None:
        args.scale, args.shift = jitter.scale_BC.data_ptr(), jitter.shift_BC.data_ptr()
    if exposure is not None:
        args.scale, args.shift = exposure.gain_BC.data_ptr(), exposure.shift_BC.data_ptr()
        args.contrast = exposure.contrast_BC.data_ptr()
    if noise is not None:
        _fill_noise(args, noise, pixels_BCHW.device)
    if normalise is not None and normalise.floor is None:
        for channel, (scale, shift) in enumerate(zip(normalise.scale, normalise.shift, strict=True)):
            args.set_output(channel, scale, shift)
    return args


def _standardised(x_BCHW: Tensor, floor: float, dtype: torch.dtype, stream: int) -> Tensor:
    B, C, H, W = x_BCHW.shape
    out = torch.empty_like(x_BCHW, dtype=dtype)
    loaded(cuda_extension()).standardise(x_BCHW.data_ptr(), out.data_ptr(), OUT_KINDS[dtype], B * C, H * W, floor, stream)
    return out


def _fill_noise(args: Any, noise: Noise, device: torch.device) -> None:
    args.noisy, args.sample, args.seed = noise.on_B.data_ptr(), noise.sample_B.data_ptr(), noise.seed
    args.fine = fine_table(device).data_ptr()
    args.coarse = coarse_table(device).data_ptr() if noise.many_photons else 0
    for channel, rate in enumerate(noise.rate_C):
        streams = [stream_of(purpose, role=noise.role, channel=channel) for purpose in (NOISE, NOISE_COARSE)]
        args.set_noise(channel, rate, noise.shot[channel], noise.dark[channel], noise.read[channel], *streams)


def launch_blur(x_BCHW: Tensor, taps_B5: Tensor, solarise_B: Tensor) -> Tensor:
    """Return the blurred and solarised images."""
    out = torch.empty_like(x_BCHW)
    source = x_BCHW.data_ptr(), taps_B5.data_ptr(), solarise_B.data_ptr(), *x_BCHW.shape
    if x_BCHW.device.type == "cpu":
        loaded(cpu_extension()).blur(*source, out.data_ptr(), torch.get_num_threads())
        return out
    between = torch.empty_like(x_BCHW)
    loaded(cuda_extension()).blur(*source, between.data_ptr(), out.data_ptr(), torch.cuda.current_stream().cuda_stream)
    return out
