// One pixel of the blur along one axis: the body of the CUDA kernel. It also runs on a host, where tests call it.
#pragma once
#include "warp.h"

namespace kit {

constexpr int kBlurReach = 4;

// All addresses are of tensors on the device of the kernel. B images, C channels, H x W pixels.
struct BlurArgs {
    const float* x;  // [B, C, H, W], as are the next two
    float* between;  // the images blurred across
    float* out;
    const float* taps;        // [B, 5]: weights of the offsets 0 to 4
    const int32_t* solarise;  // [B]
    int64_t batch;
    int channels, height, width;
};

// Across: x -> between. Down: between -> out, solarised where asked.
template <bool across>
KIT_FN void blur_pixel(const BlurArgs& a, int64_t plane, int pixel) {
    const int64_t image = plane / a.channels, start = plane * a.height * a.width;
    const float* from = (across ? a.x : a.between) + start;
    const float* taps = a.taps + (kBlurReach + 1) * image;
    const int row = pixel / a.width, column = pixel - row * a.width;
    float total = taps[0] * from[pixel];
#ifdef __CUDACC__
#pragma unroll
#endif
    for (int k = 1; k <= kBlurReach; ++k) {
        const int before = across ? pixel - column + reflect(column - k, a.width) : reflect(row - k, a.height) * a.width + column;
        const int after = across ? pixel - column + reflect(column + k, a.width) : reflect(row + k, a.height) * a.width + column;
        total += taps[k] * (from[before] + from[after]);
    }
    if (!across && a.solarise[image] != 0 && total >= 0.5f) total = 1 - total;
    (across ? a.between : a.out)[start + pixel] = total;
}

}  // namespace kit
