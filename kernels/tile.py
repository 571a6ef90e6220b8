"""Cut boxes out of whole sites and resample them. S sites, B crops, C channels, H W site pixels, P crop side.

Each crop is read once: box, antialiased resampling, mirror, quarter turns, and the sum of every channel, in integer
arithmetic whose definition is csrc/common/tile.h, so that all backends give the same bits on every device.
"""

import torch
from torch import Tensor

from kit.kernels.extension import cpu_extension, cuda_extension, loaded
from kit.kernels.launch import choose, require, require_tensor

WEIGHT_BITS = 14
BETWEEN_BITS = 7  # fraction bits kept between the vertical and the horizontal pass


def tile(
    sites_SCHW: torch.Tensor,
    site_B: torch.Tensor,
    box_B4: torch.Tensor,
    flip_B: torch.Tensor | None = None,
    turn_B: torch.Tensor | None = None,
    *,
    side: int,
    out_BCPP: torch.Tensor | None = None,
    threads: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return crops, uint8 [B, C, P, P], and the sum of each channel of each crop, int64 [B, C].

    A box of h x w pixels becomes P x P through a triangle filter whose width grows with the scale (antialiased, as PIL's
    and torch's bilinear with antialias). The filter stops at the edges of the box. Weights have 14 bits and add up to
    exactly 1, so a constant stays constant. The result is then mirrored left-right where `flip_B`, then turned
    counter-clockwise by `turn_B` quarter turns, as torch.rot90 turns an image.

    Args:
        sites_SCHW: pixels, uint8, contiguous; on the CPU, on the GPU, or pinned in host memory with `out_BCPP` on the GPU.
        site_B: which site each crop is cut from, 0 to S - 1, int64 on the CPU.
        box_B4: top, left, height, width of each box in pixels, int64 on the CPU, inside the site.
        flip_B: mirror the crop, bool on the CPU; default: none.
        turn_B: quarter turns, 0 to 3, int64 on the CPU; default: none.
        side: crop side P, pixels.
        out_BCPP: where to write the crops, on which device; default: a new tensor on the sites' device.
        threads: CPU threads; default: torch's.

    Raises:
        ValueError: a wrong dtype, shape or device, a tensor that is not contiguous, a box outside its site.

    Source: multi-crop, DINOv2 (arXiv:2304.07193).
    """
    count = len(site_B)
    flip_B = torch.zeros(count, dtype=torch.bool) if flip_B is None else flip_B
    turn_B = torch.zeros(count, dtype=torch.int64) if turn_B is None else turn_B
    _check_tensors(sites_SCHW, site_B, box_B4, flip_B, turn_B, side)
    _check_values(sites_SCHW, site_B, box_B4, turn_B)
    channels = sites_SCHW.shape[1]
    if out_BCPP is None:
        out_BCPP = torch.empty(count, channels, side, side, dtype=torch.uint8, device=sites_SCHW.device)
    require_tensor("out", out_BCPP, dtypes=(torch.uint8,), shape=(count, channels, side, side), device=out_BCPP.device)
    _check_source(sites_SCHW, out_BCPP)
    backend = choose("tile", out_BCPP.device).backend
    if backend == "torch" or out_BCPP.numel() == 0:
        return tile_reference(sites_SCHW, site_B, box_B4, flip_B, turn_B, side=side, out_BCPP=out_BCPP)
    table_B7 = torch.cat([site_B[:, None], box_B4, flip_B[:, None].long(), turn_B[:, None]], dim=1).int().contiguous()
    if backend == "cuda":
        return _tile_cuda(sites_SCHW, table_B7, side, out_BCPP)
    sums_BC = torch.empty(count, channels, dtype=torch.int64)
    loaded(cpu_extension()).tile(
        sites_SCHW.data_ptr(), *sites_SCHW.shape[1:], table_B7.data_ptr(), count, side,
        out_BCPP.data_ptr(), sums_BC.data_ptr(), threads or torch.get_num_threads(),
    )  # fmt: skip
    return out_BCPP, sums_BC


def tile_reference(
    sites_SCHW: Tensor,
    site_B: Tensor,
    box_B4: Tensor,
    flip_B: Tensor,
    turn_B: Tensor,
    *,
    side: int,
    out_BCPP: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The same in plain PyTorch: the fallback without extensions, and the reference in tests."""
    channels = sites_SCHW.shape[1]
    if out_BCPP is None:
        out_BCPP = torch.empty(len(site_B), channels, side, side, dtype=torch.uint8, device=sites_SCHW.device)
    for b, (site, (top, left, height, width)) in enumerate(zip(site_B.tolist(), box_B4.tolist(), strict=True)):
        box_CHW = sites_SCHW[site, :, top : top + height, left : left + width].to(out_BCPP.device, torch.int32)
        rows_CPW = _resample(box_CHW, side, dim=1, drop_bits=WEIGHT_BITS - BETWEEN_BITS)
        crop_CPP = _resample(rows_CPW, side, dim=2, drop_bits=WEIGHT_BITS + BETWEEN_BITS)
        crop_CPP = crop_CPP.flip(2) if flip_B[b] else crop_CPP
        out_BCPP[b] = torch.rot90(crop_CPP, int(turn_B[b]), dims=(1, 2))
    return out_BCPP, out_BCPP.sum(dim=(2, 3), dtype=torch.int64)


def filter_weights(length: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the source pixels [P, K] and the 14-bit weights [P, K] of every output pixel, int64; unused taps weigh 0.

    Output pixel i lies at (2i + 1) length / (2 side); its weights fall linearly to 0 at max(1, length / side) pixels from
    there. All in units of 1 / (2 side) pixel, where every distance is a whole number.
    """
    reach = 2 * max(side, length)
    centre_P1 = (2 * torch.arange(side)[:, None] + 1) * length
    first_P1 = torch.div(centre_P1 - reach - side, 2 * side, rounding_mode="floor").add(1).clamp_min(0)
    pixel_PK = first_P1 + torch.arange(-(-reach // side))
    weight_PK = (reach - ((2 * pixel_PK + 1) * side - centre_P1).abs()).clamp_min(0) * (pixel_PK < length)
    running_PK = weight_PK.cumsum(1)
    total_P1 = running_PK[:, -1:]
    upto_PK = (running_PK * 2 ** (WEIGHT_BITS + 1) + total_P1) // (2 * total_P1)  # rounded running sum: ends at 2**14 exactly
    return pixel_PK.clamp_max(length - 1), upto_PK.diff(dim=1, prepend=torch.zeros_like(total_P1))


def _resample(image_CHW: torch.Tensor, side: int, *, dim: int, drop_bits: int) -> torch.Tensor:
    """Filter one axis of an int32 image to `side` pixels and round `drop_bits` of the fraction away."""
    pixel_PK, weight_PK = (table.to(image_CHW.device) for table in filter_weights(image_CHW.shape[dim], side))
    shape = (1, -1, 1) if dim == 1 else (1, 1, -1)
    total = torch.tensor(2 ** (drop_bits - 1), dtype=torch.int32, device=image_CHW.device)
    for pixel_P, weight_P in zip(pixel_PK.T, weight_PK.T, strict=True):
        total = total + image_CHW.index_select(dim, pixel_P) * weight_P.int().view(shape)
    return total >> drop_bits


def _tile_cuda(sites_SCHW: Tensor, table_B7: Tensor, side: int, out_BCPP: Tensor) -> tuple[Tensor, Tensor]:
    """Launch csrc/cuda/tile.cu on the current stream; nothing here waits for the GPU."""
    count, channels = out_BCPP.shape[:2]
    longest = int(table_B7[:, 3:5].max())
    stride = -(-2 * max(side, longest) // side)  # the most taps an output pixel can have
    stride += stride % 2
    sums_BC = torch.empty(count, channels, dtype=torch.int64, device=out_BCPP.device)
    taps = torch.empty(count * 2 * side * 2, dtype=torch.int32, device=out_BCPP.device)
    weights = torch.empty(count * 2 * side * stride, dtype=torch.int16, device=out_BCPP.device)
    with torch.cuda.device(out_BCPP.device):
        table = table_B7.pin_memory().to(out_BCPP.device, non_blocking=True)
        loaded(cuda_extension()).tile(
            sites_SCHW.data_ptr(), *sites_SCHW.shape, table.data_ptr(), count, side, stride, longest, taps.data_ptr(),
            weights.data_ptr(), out_BCPP.data_ptr(), sums_BC.data_ptr(), torch.cuda.current_stream().cuda_stream,
        )  # fmt: skip
    return out_BCPP, sums_BC


def _check_tensors(sites_SCHW: Tensor, site_B: Tensor, box_B4: Tensor, flip_B: Tensor, turn_B: Tensor, side: int) -> None:
    cpu, count = torch.device("cpu"), len(site_B)
    require(side >= 1, "side", side, "at least 1 pixel")
    require_tensor("sites", sites_SCHW, dtypes=(torch.uint8,), shape=(None,) * 4, device=sites_SCHW.device)
    require(min(sites_SCHW.shape) >= 1, "sites", f"of shape {list(sites_SCHW.shape)}", "at least one pixel")
    require_tensor("site", site_B, dtypes=(torch.int64,), shape=(count,), device=cpu)
    require_tensor("box", box_B4, dtypes=(torch.int64,), shape=(count, 4), device=cpu)
    require_tensor("flip", flip_B, dtypes=(torch.bool,), shape=(count,), device=cpu)
    require_tensor("turn", turn_B, dtypes=(torch.int64,), shape=(count,), device=cpu)


def _check_values(sites_SCHW: Tensor, site_B: Tensor, box_B4: Tensor, turn_B: Tensor) -> None:
    sites, _, height, width = sites_SCHW.shape
    wrong_B = (site_B < 0) | (site_B >= sites)
    require(not bool(wrong_B.any()), "site", site_B[wrong_B].tolist(), f"0 to {sites - 1}")
    require(not bool(((turn_B < 0) | (turn_B > 3)).any()), "turn", turn_B.tolist(), "0 to 3 quarter turns")
    top, left, tall, wide = box_B4.unbind(1)
    wrong_B = (top < 0) | (left < 0) | (tall < 1) | (wide < 1) | (top + tall > height) | (left + wide > width)
    require(
        not wrong_B.any(), "box", box_B4[wrong_B].tolist(), f"boxes (top, left, height, width) inside {height} x {width} pixels"
    )


def _check_source(sites_SCHW: Tensor, out_BCPP: Tensor) -> None:
    if sites_SCHW.device == out_BCPP.device:
        return
    pinned = sites_SCHW.device.type == "cpu" and out_BCPP.device.type == "cuda" and sites_SCHW.is_pinned()
    require(pinned, "sites", f"on {sites_SCHW.device}, crops on {out_BCPP.device}", "one device, or sites pinned in host memory")
