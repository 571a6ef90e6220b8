// The tile op on a GPU: what each thread of a block does between two barriers. A block makes `edge` x `edge` pixels of one
// channel of one crop: vertical pass into shared memory, horizontal pass into a stage in the output's own orientation, then
// whole lines out. Plain functions, so that a test can run them on a CPU, thread by thread.
#pragma once
#include "intrinsics.h"
#include "tile.h"

namespace kit {

constexpr int kTileThreads = 256;
constexpr int kMostEdge = 32;
constexpr int kStagePitch = kMostEdge + 4;

struct TileJob {
    const uint8_t* sites;
    const uint8_t* sites_end;  // nothing is read at or beyond this address
    int64_t channels, height, width;
    const Crop* crops;
    int side;
    int stride;              // weights of an output pixel, padded with zeros to an even number
    Taps* taps;              // [crops, 2, side]: rows, then columns, in the order of the output
    int16_t* weights;        // [crops, 2, side, stride]
    uint8_t* out;            // [crops, channels, side, side]
    unsigned long long* sums;  // [crops, channels]
};

// Before the blocks: the filter of one output row (axis 0) or column (axis 1) of one crop.
KIT_FN void tile_filter(const TileJob& job, int64_t item) {
    const int64_t crop_index = item / (2 * job.side);
    const int axis = static_cast<int>(item / job.side % 2), i = static_cast<int>(item % job.side);
    const Crop crop = job.crops[crop_index];
    const Pose pose = pose_of(crop.flip, crop.turn);
    const int length = axis ? crop.width : crop.height;
    const int source = (axis ? pose.reverse_x : pose.reverse_y) ? job.side - 1 - i : i;
    const Taps taps = taps_of(source, job.side, length);
    int16_t* weights = job.weights + item * job.stride;
    write_weights(source, job.side, length, taps, weights);
    for (int k = taps.count; k < job.stride; ++k) weights[k] = 0;
    job.taps[item] = taps;
}

// The part of a crop that one block makes.
struct TileBlock {
    const uint8_t* corner;  // of the crop's box in this channel
    const Taps *rows, *columns;
    const int16_t *row_weights, *column_weights;
    uint8_t* out;  // [side, side]
    int top, left, tall, wide;  // in the output, before the transpose
    int x_from, x_count;        // source columns that the block's output columns need
    bool transpose;
};

KIT_FN TileBlock tile_block(const TileJob& job, int64_t plane, int block, int edge) {
    const int64_t crop_index = plane / job.channels, channel = plane % job.channels;
    const Crop crop = job.crops[crop_index];
    const int across = (job.side + edge - 1) / edge;
    TileBlock b;
    b.corner = job.sites + ((crop.site * job.channels + channel) * job.height + crop.y) * job.width + crop.x;
    b.rows = job.taps + crop_index * 2 * job.side;
    b.columns = b.rows + job.side;
    b.row_weights = job.weights + crop_index * 2 * job.side * job.stride;
    b.column_weights = b.row_weights + static_cast<int64_t>(job.side) * job.stride;
    b.out = job.out + plane * job.side * job.side;
    b.top = block / across * edge;
    b.left = block % across * edge;
    b.tall = job.side - b.top < edge ? job.side - b.top : edge;
    b.wide = job.side - b.left < edge ? job.side - b.left : edge;
    const Taps one = b.columns[b.left], other = b.columns[b.left + b.wide - 1];  // the order may be backwards
    const int end_one = one.first + one.count, end_other = other.first + other.count;
    b.x_from = one.first < other.first ? one.first : other.first;
    b.x_count = (end_one > end_other ? end_one : end_other) - b.x_from;
    b.transpose = pose_of(crop.flip, crop.turn).transpose;
    return b;
}

// The most source columns that `edge` output columns can need: what a row of shared memory must hold, in whole quads.
KIT_FN int tile_pitch(int side, int longest, int edge) {
    const int64_t span = static_cast<int64_t>(edge) * longest / side + most_taps(side, longest) + 2;
    return static_cast<int>(((span < longest ? span : longest) + 3) / 4 * 4);
}

// Four bytes from any address, those at or beyond `end` zero.
KIT_FN uint32_t load_quad(const uint8_t* address, const uint8_t* end) {
    const auto odd = static_cast<unsigned>(reinterpret_cast<uintptr_t>(address) & 3);
    const uint8_t* word = address - odd;
    if (word + 8 <= end) {
        const uint32_t low = *reinterpret_cast<const uint32_t*>(word);
        return odd ? funnel_right(low, *reinterpret_cast<const uint32_t*>(word + 4), 8 * odd) : low;
    }
    uint32_t quad = 0;
    for (int i = 0; i < 4; ++i) quad |= address + i < end ? static_cast<uint32_t>(address[i]) << (8 * i) : 0;
    return quad;
}

// Phase 1: `tall` rows of weighted source rows, four pixels a step. between [edge, pitch].
KIT_FN void tile_vertical(const TileJob& job, const TileBlock& b, int thread, int pitch, int16_t* between) {
    const int quads = (b.x_count + 3) / 4;
    for (int item = thread; item < quads * b.tall; item += kTileThreads) {
        const int r = item / quads, x = item % quads * 4;
        const Taps taps = b.rows[b.top + r];
        const int16_t* weights = b.row_weights + static_cast<int64_t>(b.top + r) * job.stride;
        const uint8_t* source = b.corner + taps.first * job.width + b.x_from + x;
        uint32_t sum[4] = {0, 0, 0, 0};
        for (int k = 0; k < taps.count; k += 2, source += 2 * job.width) {
            const uint32_t even = load_quad(source, job.sites_end);
            const uint32_t odd = k + 1 < taps.count ? load_quad(source + job.width, job.sites_end) : 0;
            const uint32_t pair = *reinterpret_cast<const uint32_t*>(weights + k);
            const uint32_t left = byte_perm(even, odd, 0x5140), right = byte_perm(even, odd, 0x7362);
            sum[0] = dot2_low(pair, left, sum[0]);
            sum[1] = dot2_high(pair, left, sum[1]);
            sum[2] = dot2_low(pair, right, sum[2]);
            sum[3] = dot2_high(pair, right, sum[3]);
        }
        for (int i = 0; i < 4; ++i) between[r * pitch + x + i] = static_cast<int16_t>(after_vertical(static_cast<int>(sum[i])));
    }
}

// Phase 2: output pixels into `stage`, in the output's orientation; returns the sum of this thread's pixels.
KIT_FN unsigned tile_horizontal(const TileJob& job, const TileBlock& b, int thread, int pitch, const int16_t* between,
                                uint8_t* stage) {
    unsigned total = 0;
    for (int item = thread; item < b.tall * b.wide; item += kTileThreads) {
        const int r = item / b.wide, j = item % b.wide;
        const Taps taps = b.columns[b.left + j];
        const int16_t* weights = b.column_weights + static_cast<int64_t>(b.left + j) * job.stride;
        const int16_t* source = between + r * pitch + taps.first - b.x_from;
        int sum = 0;
        for (int k = 0; k < taps.count; ++k) sum += weights[k] * source[k];
        const int pixel = after_horizontal(sum);
        stage[b.transpose ? j * kStagePitch + r : r * kStagePitch + j] = static_cast<uint8_t>(pixel);
        total += pixel;
    }
    return total;
}

// Phase 3: the stage into the output, neighbouring threads to neighbouring bytes.
KIT_FN void tile_store(const TileJob& job, const TileBlock& b, int thread, const uint8_t* stage) {
    const int lines = b.transpose ? b.wide : b.tall, length = b.transpose ? b.tall : b.wide;
    uint8_t* out = b.out + (b.transpose ? static_cast<int64_t>(b.left) * job.side + b.top
                                        : static_cast<int64_t>(b.top) * job.side + b.left);
    for (int item = thread; item < lines * length; item += kTileThreads) {
        const int line = item / length, at = item % length;
        out[static_cast<int64_t>(line) * job.side + at] = stage[line * kStagePitch + at];
    }
}

}  // namespace kit
