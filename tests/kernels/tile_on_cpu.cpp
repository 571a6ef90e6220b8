// Runs the GPU kernel's own functions thread by thread on a CPU: the same blocks, phases and barriers.
#include <vector>

#include "../../csrc/cuda/tile_block.h"

extern "C" int run(const uint8_t* sites, int64_t bytes, int64_t channels, int64_t height, int64_t width, const kit::Crop* crops,
                   int64_t count, int side, int longest, int edge, uint8_t* out, unsigned long long* sums) {
    using namespace kit;
    const int stride = (most_taps(side, longest) + 1) / 2 * 2;
    std::vector<Taps> taps(count * 2 * side);
    std::vector<int16_t> weights(count * 2 * side * stride, -1);
    const TileJob job{sites, sites + bytes, channels, height, width, crops, side, stride, taps.data(), weights.data(), out, sums};
    for (int64_t item = 0; item < count * 2 * side; ++item) tile_filter(job, item);
    const int pitch = tile_pitch(side, longest, edge), across = (side + edge - 1) / edge;
    for (int64_t plane = 0; plane < count * channels; ++plane) {
        sums[plane] = 0;
        for (int block = 0; block < across * across; ++block) {
            const TileBlock b = tile_block(job, plane, block, edge);
            if (b.x_count > pitch) return 1;
            std::vector<int16_t> between(edge * pitch, -1);
            std::vector<uint8_t> stage(kMostEdge * kStagePitch, 77);
            for (int thread = 0; thread < kTileThreads; ++thread) tile_vertical(job, b, thread, pitch, between.data());
            for (int thread = 0; thread < kTileThreads; ++thread)
                sums[plane] += tile_horizontal(job, b, thread, pitch, between.data(), stage.data());
            for (int thread = 0; thread < kTileThreads; ++thread) tile_store(job, b, thread, stage.data());
        }
    }
    return 0;
}
