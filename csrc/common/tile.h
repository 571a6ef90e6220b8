// The arithmetic of the tile op, for host and device: integers only, so every backend gives the same bits.
//
// One axis of a crop: `length` source pixels become `side` output pixels through a triangle filter whose support grows with
// the scale (antialiased). Pixel i of the output is centred at (2i + 1) length / (2 side); all distances are kept in units
// of 1 / (2 side), where they are whole numbers. Weights are fixed-point with 14 bits and add up to exactly 1.
#pragma once
#include "portable.h"

namespace kit {

constexpr int kWeightBits = 14;
constexpr int kBetweenBits = 7;  // fraction bits kept between the two passes: 255 << 7 still fits int16

struct Taps {
    int first;  // source pixel of the first weight
    int count;
};

KIT_FN int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

KIT_FN int64_t filter_reach(int side, int length) { return 2 * static_cast<int64_t>(side > length ? side : length); }

// The most taps one output pixel can have.
KIT_FN int most_taps(int side, int length) { return static_cast<int>((filter_reach(side, length) + side - 1) / side); }

KIT_FN Taps taps_of(int i, int side, int length) {
    const int64_t reach = filter_reach(side, length), centre = (2 * static_cast<int64_t>(i) + 1) * length;
    int64_t first = floor_div(centre - reach - side, 2 * static_cast<int64_t>(side)) + 1;
    int64_t end = -floor_div(-(centre + reach - side), 2 * static_cast<int64_t>(side));
    if (first < 0) first = 0;
    if (end > length) end = length;
    return {static_cast<int>(first), static_cast<int>(end - first)};
}

// Writes the weights of output pixel i: differences of the rounded running sum, so that their sum is exact.
KIT_FN void write_weights(int i, int side, int length, Taps taps, int16_t* weights) {
    const int64_t reach = filter_reach(side, length), centre = (2 * static_cast<int64_t>(i) + 1) * length;
    int64_t total = 0;
    for (int k = 0; k < taps.count; ++k) {
        const int64_t d = (2 * static_cast<int64_t>(taps.first + k) + 1) * side - centre;
        total += reach - (d < 0 ? -d : d);
    }
    int64_t running = 0, before = 0;
    for (int k = 0; k < taps.count; ++k) {
        const int64_t d = (2 * static_cast<int64_t>(taps.first + k) + 1) * side - centre;
        running += reach - (d < 0 ? -d : d);
        const int64_t upto = ((running << (kWeightBits + 1)) + total) / (2 * total);
        weights[k] = static_cast<int16_t>(upto - before);
        before = upto;
    }
}

// After the vertical pass: weighted sum of bytes -> 7 fraction bits. After the horizontal one: -> a byte.
KIT_FN int after_vertical(int sum) { return (sum + (1 << (kWeightBits - kBetweenBits - 1))) >> (kWeightBits - kBetweenBits); }
KIT_FN int after_horizontal(int sum) {
    return (sum + (1 << (kWeightBits + kBetweenBits - 1))) >> (kWeightBits + kBetweenBits);
}

// A crop is mirrored (left-right) first, then turned counter-clockwise by quarter turns. Both together are: run the source
// backwards along x and/or y, then transpose.
struct Pose {
    bool reverse_x, reverse_y, transpose;
};

KIT_FN Pose pose_of(int flip, int turn) {
    return {(flip != 0) != (turn == 1 || turn == 2), turn == 2 || turn == 3, (turn & 1) != 0};
}

// One row of the crop table that the op hands to every backend.
struct Crop {
    int32_t site, y, x, height, width, flip, turn;
};

}  // namespace kit
