// The blur's kernel and its launcher: across, then down.
#include <cuda_runtime_api.h>

#include "blur_pixel.h"

namespace kit {

constexpr int kBlurThreads = 256;

template <bool across>
__global__ void __launch_bounds__(kBlurThreads) blur_pixels(const __grid_constant__ BlurArgs a, unsigned tiles) {
    const int pixel = static_cast<int>((blockIdx.x % tiles) * kBlurThreads + threadIdx.x);
    if (pixel < a.height * a.width) blur_pixel<across>(a, blockIdx.x / tiles, pixel);
}

}  // namespace kit

// Runs on `stream`; returns a CUDA error code.
extern "C" int kit_blur(const kit::BlurArgs* args, void* stream_address) {
    using namespace kit;
    const auto stream = static_cast<cudaStream_t>(stream_address);
    const int64_t tiles = (static_cast<int64_t>(args->height) * args->width + kBlurThreads - 1) / kBlurThreads;
    const int64_t blocks = tiles * args->batch * args->channels;
    if (blocks > 0x7fffffff) return static_cast<int>(cudaErrorInvalidValue);
    const auto grid = static_cast<unsigned>(blocks), per_plane = static_cast<unsigned>(tiles);
    blur_pixels<true><<<grid, kBlurThreads, 0, stream>>>(*args, per_plane);
    const cudaError_t first = cudaGetLastError();
    if (first != cudaSuccess) return static_cast<int>(first);
    blur_pixels<false><<<grid, kBlurThreads, 0, stream>>>(*args, per_plane);
    return static_cast<int>(cudaGetLastError());
}
