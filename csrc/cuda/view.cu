// The fused view's kernels and their launcher: the twin of kernels/view_triton.py, for GPUs that Triton does not serve.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include "view_pixel.h"

namespace kit {

constexpr int kViewThreads = 128, kPlaneThreads = 512;

__device__ void put(float* to, float value) { *to = value; }
__device__ void put(__half* to, float value) { *to = __float2half_rn(value); }
__device__ void put(__nv_bfloat16* to, float value) { *to = __float2bfloat16_rn(value); }

template <class Pixel, class Out, bool warp, bool noise, bool many>
__global__ void __launch_bounds__(kViewThreads) view_pixels(const __grid_constant__ ViewArgs a, unsigned tiles) {
    const int pixel = static_cast<int>((blockIdx.x % tiles) * kViewThreads + threadIdx.x);
    if (pixel >= a.height * a.width) return;
    view_pixel<Pixel, warp, noise, many>(a, blockIdx.x / tiles, pixel,
                                         [&](int64_t index, float value) { put(address<Out>(a.out) + index, value); });
}

// Sum over a block; every thread gets it.
__device__ float block_sum(float value) {
    __shared__ float parts[kPlaneThreads / 32];
    __syncthreads();
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    float total = 0;
    for (int warp = 0; warp < kPlaneThreads / 32; ++warp) total += parts[warp];
    return total;
}

// The mean of clip(I * gain), one block a plane.
template <class Pixel>
__global__ void __launch_bounds__(kPlaneThreads) clipped_mean_of_planes(const Pixel* pixels, const float* gain, float* out, int64_t size) {
    const Pixel* plane = pixels + blockIdx.x * size;
    const float factor = gain[blockIdx.x];
    float sum = 0;
    for (int64_t i = threadIdx.x; i < size; i += kPlaneThreads) {
        float v = static_cast<float>(plane[i]);
        if (sizeof(Pixel) == 1) v *= 1 / 255.0f;
        sum += clipped(v * factor);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = sum / static_cast<float>(size);
}

// (x - mean) / (sd + floor), one block a plane.
template <class Out>
__global__ void __launch_bounds__(kPlaneThreads) standardise_planes(const float* x, Out* out, int64_t size, float floor) {
    const float* plane = x + blockIdx.x * size;
    float sum = 0, square = 0;
    for (int64_t i = threadIdx.x; i < size; i += kPlaneThreads) sum += plane[i];
    const float mean = block_sum(sum) / static_cast<float>(size);
    for (int64_t i = threadIdx.x; i < size; i += kPlaneThreads) square += (plane[i] - mean) * (plane[i] - mean);
    const float spread = sqrtf(block_sum(square) / static_cast<float>(size)) + floor;
    const float scale = spread > 0 ? 1 / spread : 0;
    for (int64_t i = threadIdx.x; i < size; i += kPlaneThreads) put(out + blockIdx.x * size + i, (plane[i] - mean) * scale);
}

template <class Run>
int with_output(int kind, const Run& run) {
    return kind == 0 ? run(float{}) : kind == 1 ? run(__half{}) : run(__nv_bfloat16{});
}

}  // namespace kit

// They run on `stream` and return a CUDA error code.
extern "C" int kit_view(const kit::ViewArgs* args, void* stream_address) {
    using namespace kit;
    const auto stream = static_cast<cudaStream_t>(stream_address);
    const int64_t tiles = (static_cast<int64_t>(args->height) * args->width + kViewThreads - 1) / kViewThreads;
    if (tiles * args->batch > 0x7fffffff) return static_cast<int>(cudaErrorInvalidValue);
    return with_output(args->out_kind, [&](auto out) {
        return with_switches(*args, [&](auto pixel, auto warp, auto noise, auto many) {
            view_pixels<decltype(pixel), decltype(out), decltype(warp)::on, decltype(noise)::on, decltype(many)::on>
                <<<static_cast<unsigned>(tiles * args->batch), kViewThreads, 0, stream>>>(*args, static_cast<unsigned>(tiles));
            return static_cast<int>(cudaGetLastError());
        });
    });
}

extern "C" int kit_clipped_means(const void* pixels, int pixel_bytes, int64_t planes, int64_t size, const float* gain, float* out,
                                 void* stream_address) {
    using namespace kit;
    const auto stream = static_cast<cudaStream_t>(stream_address);
    if (planes > 0x7fffffff) return static_cast<int>(cudaErrorInvalidValue);
    const auto blocks = static_cast<unsigned>(planes);
    if (pixel_bytes == 1)
        clipped_mean_of_planes<<<blocks, kPlaneThreads, 0, stream>>>(static_cast<const uint8_t*>(pixels), gain, out, size);
    else
        clipped_mean_of_planes<<<blocks, kPlaneThreads, 0, stream>>>(static_cast<const float*>(pixels), gain, out, size);
    return static_cast<int>(cudaGetLastError());
}

extern "C" int kit_standardise(const float* x, void* out, int out_kind, int64_t planes, int64_t size, float floor, void* stream_address) {
    using namespace kit;
    const auto stream = static_cast<cudaStream_t>(stream_address);
    if (planes > 0x7fffffff) return static_cast<int>(cudaErrorInvalidValue);
    return with_output(out_kind, [&](auto kind) {
        auto* to = static_cast<decltype(kind)*>(out);
        standardise_planes<<<static_cast<unsigned>(planes), kPlaneThreads, 0, stream>>>(x, to, size, floor);
        return static_cast<int>(cudaGetLastError());
    });
}
