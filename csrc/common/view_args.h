// All that the fused view takes, filled in by kernels/view_compiled.py. Addresses are of tensors on the device of the kernel.
// B images, C channels, H x W pixels. A null address leaves that part out.
#pragma once
#include "noise.h"

namespace kit {

constexpr int kChannelsMost = 64;

struct ViewArgs {
    uint64_t pixels = 0, out = 0;  // uint8 or float32 [B, C, H, W]; float32, float16 or bfloat16 (CPU: float32)
    int pixel_bytes = 1, out_kind = 0;  // 1: uint8, 4: float32; 0: float32, 1: float16, 2: bfloat16
    int64_t batch = 0;
    int channels = 0, height = 0, width = 0;
    uint64_t kind = 0, affine = 0, lattice = 0;  // int32 [B], int32 [B, 6], float32 [B, 2, Ky, Kx]
    int lattice_height = 0, lattice_width = 0;
    float per_spacing = 0;  // 1 / pixels between lattice points
    uint64_t scale = 0, shift = 0;  // float32 [B, C]
    uint64_t contrast = 0;  // float32 [B, C]: an exposure, clip(clip(v * scale) * contrast + shift), in place of v * scale + shift
    uint64_t noisy = 0, sample = 0, fine = 0, coarse = 0;  // int32 [B], int64 [B], tables of uint32
    uint64_t seed = 0;
    ChannelNoise noise[kChannelsMost] = {};
    int normalise = 0;  // 1: out = v * out_scale + out_shift
    float out_scale[kChannelsMost] = {}, out_shift[kChannelsMost] = {};
    float floor = -1;  // 0 or more: standardise every plane (CPU only)
    int threads = 1;
};

}  // namespace kit
