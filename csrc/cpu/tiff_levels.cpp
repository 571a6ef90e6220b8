// Counts to levels, and the sums that describe an image. Everything is an integer, so the order of adding does not matter.
#include <cstring>
#include <vector>

#include "tiff.h"

namespace kit::tiff {

template <typename T>
void count_values(const T* counts, size_t pixels, uint64_t* histogram) {
    constexpr size_t bins = size_t{1} << (8 * sizeof(T));
    // Two tables in turn: neighbours are often equal, and adding twice to one place waits for the first to arrive.
    thread_local std::vector<uint32_t> tables(2 * 65536);
    uint32_t *even = tables.data(), *odd = even + bins;
    std::memset(even, 0, 2 * bins * sizeof(uint32_t));
    size_t i = 0;
    for (; i + 4 <= pixels; i += 4) {
        ++even[counts[i]];
        ++odd[counts[i + 1]];
        ++even[counts[i + 2]];
        ++odd[counts[i + 3]];
    }
    for (; i < pixels; ++i) ++even[counts[i]];
    for (size_t bin = 0; bin < bins; ++bin) histogram[bin] = static_cast<uint64_t>(even[bin]) + odd[bin];
}

Numbers describe(const uint64_t* histogram, size_t bins, int64_t black, int64_t white, uint8_t* level_of) {
    Numbers n{};
    uint64_t pixels = 0;
    n.least = -1;
    for (size_t count = 0; count < bins; ++count) {
        if (!histogram[count]) continue;
        if (n.least < 0) n.least = static_cast<int64_t>(count);
        n.most = static_cast<int64_t>(count);
        pixels += histogram[count];
    }
    n.black = black < 0 ? n.least : black;
    n.white = white < 0 ? n.most : white;
    const int64_t range = n.white - n.black;
    for (int64_t count = 0; count < static_cast<int64_t>(bins); ++count) {
        const int64_t above = count < n.black ? 0 : count > n.white ? range : count - n.black;
        level_of[count] = range > 0 ? static_cast<uint8_t>(static_cast<uint32_t>(above * 255) / static_cast<uint32_t>(range)) : 0;
    }
    const uint64_t low_rank = (pixels * 5 + 999) / 1000, high_rank = (pixels * 995 + 999) / 1000;
    uint64_t upto = 0;
    n.low = n.high = -1;
    for (int64_t count = n.least; count >= 0 && count <= n.most; ++count) {
        const int64_t times = static_cast<int64_t>(histogram[count]);
        n.sum += times * count;
        n.sumsq += times * count * count;
        n.sum8 += times * level_of[count];
        n.sumsq8 += times * level_of[count] * level_of[count];
        upto += histogram[count];
        if (n.low < 0 && upto >= low_rank) n.low = count;
        if (n.high < 0 && upto >= high_rank) n.high = count;
    }
    n.saturated = static_cast<int64_t>(histogram[bins - 1]);
    return n;
}

template <typename T>
void map_levels(const T* counts, size_t pixels, const uint8_t* level_of, uint8_t* levels) {
    for (size_t i = 0; i < pixels; ++i) levels[i] = level_of[counts[i]];
}

template <typename T>
void lag_sums(const T* counts, uint32_t width, uint32_t height, uint64_t sums[3][3]) {
    for (uint32_t lag = 0; lag < 3; ++lag) {
        uint64_t products = 0, left = 0, right = 0;
        const uint32_t pairs = width > lag ? width - lag : 0;
        for (uint32_t y = 0; y < height; y += kLagRows) {
            const T* row = counts + static_cast<size_t>(y) * width;
            for (uint32_t x = 0; x < pairs; ++x) {
                products += static_cast<uint64_t>(static_cast<uint32_t>(row[x]) * row[x + lag]);
                left += row[x];
                right += row[x + lag];
            }
        }
        sums[lag][0] = products, sums[lag][1] = left, sums[lag][2] = right;
    }
}

template void count_values(const uint8_t*, size_t, uint64_t*);
template void count_values(const uint16_t*, size_t, uint64_t*);
template void map_levels(const uint8_t*, size_t, const uint8_t*, uint8_t*);
template void map_levels(const uint16_t*, size_t, const uint8_t*, uint8_t*);
template void lag_sums(const uint8_t*, uint32_t, uint32_t, uint64_t[3][3]);
template void lag_sums(const uint16_t*, uint32_t, uint32_t, uint64_t[3][3]);

}  // namespace kit::tiff
