// The tile op's kernels and their launcher.
#include <cuda_runtime_api.h>

#include "tile_block.h"

namespace kit {

__global__ void tile_filters(TileJob job, int64_t items) {
    const int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (item < items) tile_filter(job, item);
}

__global__ void __launch_bounds__(kTileThreads) tile_blocks(TileJob job, int edge, int pitch, int blocks) {
    extern __shared__ __align__(16) int16_t between[];
    __shared__ uint8_t stage[kMostEdge * kStagePitch];
    const int64_t plane = blockIdx.x / blocks;
    const TileBlock block = tile_block(job, plane, static_cast<int>(blockIdx.x % blocks), edge);
    const int thread = static_cast<int>(threadIdx.x);
    tile_vertical(job, block, thread, pitch, between);
    __syncthreads();
    unsigned total = tile_horizontal(job, block, thread, pitch, between, stage);
    __syncthreads();
    tile_store(job, block, thread, stage);
    for (int step = 16; step > 0; step /= 2) total += __shfl_down_sync(0xffffffffu, total, step);
    if (thread % 32 == 0) atomicAdd(job.sums + plane, static_cast<unsigned long long>(total));  // integers: any order
}

}  // namespace kit

// Runs on `stream`; returns a CUDA error code. `longest`: the longest side of a box, pixels.
extern "C" int kit_tile(const kit::TileJob* job, int64_t crops, int longest, void* stream_address) {
    using namespace kit;
    const auto stream = static_cast<cudaStream_t>(stream_address);
    constexpr int kSharedBytes = 40 * 1024;  // with the stage below the 48 KB that every GPU gives without asking
    int edge = kMostEdge;
    while (edge > 1 && edge * tile_pitch(job->side, longest, edge) * 2 > kSharedBytes) edge /= 2;
    const int pitch = tile_pitch(job->side, longest, edge);
    if (edge * pitch * 2 > kSharedBytes) return static_cast<int>(cudaErrorInvalidValue);
    const int64_t planes = crops * job->channels, items = crops * 2 * job->side;
    const int across = (job->side + edge - 1) / edge;
    const int64_t blocks = static_cast<int64_t>(across) * across;
    if (planes * blocks > 0x7fffffff) return static_cast<int>(cudaErrorInvalidValue);
    const cudaError_t cleared = cudaMemsetAsync(job->sums, 0, planes * sizeof(*job->sums), stream);
    if (cleared != cudaSuccess) return static_cast<int>(cleared);
    tile_filters<<<static_cast<unsigned>((items + 127) / 128), 128, 0, stream>>>(*job, items);
    tile_blocks<<<static_cast<unsigned>(planes * blocks), kTileThreads, edge * pitch * 2, stream>>>(
        *job, edge, pitch, static_cast<int>(blocks));
    return static_cast<int>(cudaGetLastError());
}
