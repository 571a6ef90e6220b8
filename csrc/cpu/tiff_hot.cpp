// Hot pixels: found by the histogram and their neighbours. A row in which no pixel stands out from its left and right neighbour
// has none, and few rows have one: a clean image costs one pass of comparisons.
#include <algorithm>
#include <vector>

#include "portable.h"
#include "simd.h"
#include "tiff.h"

namespace kit::tiff {
namespace {

// How far a pixel of the row, other than its first and last, is above both its neighbours in the row, at most.
template <typename T>
KIT_FN T steepest_of(const T* row, size_t width) {
    T most = 0;
    for (size_t x = 1; x + 1 < width; ++x) {
        const T left = row[x - 1], right = row[x + 1], here = row[x];
        const T side = left > right ? left : right, top = here > side ? here : side;
        const T above = static_cast<T>(top - side);
        most = above > most ? above : most;
    }
    return most;
}

KIT_SIMD uint8_t steepest(const uint8_t* row, size_t width) { return steepest_of(row, width); }
KIT_SIMD uint16_t steepest(const uint16_t* row, size_t width) { return steepest_of(row, width); }

// The up to eight neighbours of a pixel, from dark to bright; returns how many there are.
template <typename T>
int neighbours(const T* counts, uint32_t width, uint32_t height, uint32_t y, uint32_t x, T* values) {
    int n = 0;
    for (uint32_t j = y ? y - 1 : 0; j <= y + 1 && j < height; ++j)
        for (uint32_t i = x ? x - 1 : 0; i <= x + 1 && i < width; ++i)
            if (i != x || j != y) {
                const T value = counts[static_cast<size_t>(j) * width + i];
                int at = n++;
                for (; at > 0 && values[at - 1] > value; --at) values[at] = values[at - 1];
                values[at] = value;
            }
    return n;
}

}  // namespace

Percentiles percentiles(const uint64_t* histogram, size_t bins, size_t pixels) {
    // The smallest count that at least this share does not exceed: from below for the dark ones, from above for the bright.
    const uint64_t dark[2] = {(pixels + 999) / 1000, (pixels * 5 + 999) / 1000};
    const uint64_t bright[2] = {pixels - (pixels * 995 + 999) / 1000, pixels - (pixels * 999 + 999) / 1000};  // that exceed it
    Percentiles p{};
    uint64_t seen = 0;
    size_t bin = 0;
    for (; seen < dark[0]; ++bin) {
        if (!seen && histogram[bin]) p.least = static_cast<int64_t>(bin);
        seen += histogram[bin];
    }
    p.black = static_cast<int64_t>(bin) - 1;
    for (; seen < dark[1]; ++bin) seen += histogram[bin];
    p.low = static_cast<int64_t>(bin) - 1;
    seen = 0;
    bin = bins;
    for (; seen <= bright[1]; --bin) {
        if (!seen && histogram[bin - 1]) p.most = static_cast<int64_t>(bin) - 1;
        seen += histogram[bin - 1];
    }
    p.white = static_cast<int64_t>(bin);
    for (; seen <= bright[0]; --bin) seen += histogram[bin - 1];
    p.high = static_cast<int64_t>(bin);
    return p;
}

template <typename T>
std::vector<Hot> find_hot(const T* counts, uint32_t width, uint32_t height, const Percentiles& p) {
    std::vector<Hot> hot;
    const int64_t range = p.high - p.low;
    if (p.most <= p.high) return hot;  // always so in an image of one pixel, which has no neighbour
    for (uint32_t y = 0; y < height; ++y) {
        const T* row = counts + static_cast<size_t>(y) * width;
        const uint32_t step = steepest(row, width) > range ? 1 : std::max(width - 1, 1u);  // else its first and last pixel only
        for (uint32_t x = 0; x < width; x += step) {
            if (row[x] <= p.high) continue;
            T around[8];
            const int n = neighbours(counts, width, height, y, x, around);
            const int64_t here = row[x], brightest = around[n - 1], median = around[(n - 1) / 2];
            if (here - brightest > range && here - median > kSharp * (brightest - median))
                hot.push_back({static_cast<size_t>(y) * width + x, static_cast<uint16_t>(median)});
        }
    }
    return hot;
}

template std::vector<Hot> find_hot(const uint8_t*, uint32_t, uint32_t, const Percentiles&);
template std::vector<Hot> find_hot(const uint16_t*, uint32_t, uint32_t, const Percentiles&);

}  // namespace kit::tiff
