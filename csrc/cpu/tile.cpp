// The tile op on the CPU: crops resampled in two passes of 16-bit multiply-adds, a thread per crop.
#include "tile.h"

#include <pybind11/pybind11.h>

#include <cstring>
#include <stdexcept>
#include <vector>

#include "parallel.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define KIT_X86 1
#include <immintrin.h>
#endif

namespace kit {
namespace {

constexpr int kRowsAhead = 4;  // output rows between asking for a source row and using it

// The filter of one axis, in the order in which output pixels are written. Rows of weights are padded with zeros.
struct Filter {
    int stride;
    std::vector<int> first, count;
    std::vector<int16_t> weights;

    Filter(int side, int length, bool reverse) : stride((most_taps(side, length) + 7) / 8 * 8), first(side), count(side) {
        weights.assign(static_cast<size_t>(side) * stride, 0);
        for (int i = 0; i < side; ++i) {
            const int source = reverse ? side - 1 - i : i;
            const Taps taps = taps_of(source, side, length);
            first[i] = taps.first;
            count[i] = taps.count;
            write_weights(source, side, length, taps, &weights[static_cast<size_t>(i) * stride]);
        }
    }
};

// One output row before the horizontal pass: `count` source rows, `pitch` bytes apart, weighted.
void vertical_plain(const uint8_t* source, int64_t pitch, const int16_t* weights, int count, int from, int width, int16_t* row) {
    for (int x = from; x < width; ++x) {
        int sum = 0;
        for (int k = 0; k < count; ++k) sum += weights[k] * source[k * pitch + x];
        row[x] = static_cast<int16_t>(after_vertical(sum));
    }
}

int64_t horizontal_plain(const int16_t* row, const Filter& filter, int from, int side, uint8_t* out) {
    int64_t total = 0;
    for (int i = from; i < side; ++i) {
        const int16_t* weights = &filter.weights[static_cast<size_t>(i) * filter.stride];
        int sum = 0;
        for (int k = 0; k < filter.count[i]; ++k) sum += weights[k] * row[filter.first[i] + k];
        out[i] = static_cast<uint8_t>(after_horizontal(sum));
        total += out[i];
    }
    return total;
}

#ifdef KIT_X86
__attribute__((target("avx2"))) void vertical_avx2(const uint8_t* source, int64_t pitch, const int16_t* weights, int count,
                                                   int width, int16_t* row) {
    const __m256i half = _mm256_set1_epi32(1 << (kWeightBits - kBetweenBits - 1));
    for (int at = 0; at < width; at += 16) {
        const int x = at + 16 <= width ? at : width - 16;  // the last step overlaps the one before
        __m256i low = half, high = half;
        for (int k = 0; k < count; k += 2) {  // weights are padded with zeros: an odd last row is paired with itself
            const uint8_t* even = source + k * pitch + x;
            const uint8_t* odd = k + 1 < count ? even + pitch : even;
            const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(even));
            const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(odd));
            int pair;
            std::memcpy(&pair, weights + k, sizeof pair);
            const __m256i both = _mm256_set1_epi32(pair);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)), both));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b)), both));
        }
        low = _mm256_srai_epi32(low, kWeightBits - kBetweenBits);
        high = _mm256_srai_epi32(high, kWeightBits - kBetweenBits);
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + x), packed);
    }
}

__attribute__((target("avx2"))) inline __m128i dot_avx2(const int16_t* row, const int16_t* weights, int stride) {
    __m128i sum = _mm_madd_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)),
                                 _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
    for (int k = 8; k < stride; k += 8)
        sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + k)),
                                                _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + k))));
    return sum;
}

// `row` must be readable for one stride beyond its width: the weights there are zero.
__attribute__((target("avx2"))) int64_t horizontal_avx2(const int16_t* row, const Filter& filter, int side, uint8_t* out) {
    const __m128i half = _mm_set1_epi32(1 << (kWeightBits + kBetweenBits - 1));
    __m128i total = _mm_setzero_si128();
    int i = 0;
    for (; i + 8 <= side; i += 8) {
        __m128i four[2];
        for (int g = 0; g < 2; ++g) {
            __m128i sums[4];
            for (int j = 0; j < 4; ++j) {
                const int at = i + 4 * g + j;
                sums[j] = dot_avx2(row + filter.first[at], &filter.weights[static_cast<size_t>(at) * filter.stride], filter.stride);
            }
            const __m128i added = _mm_hadd_epi32(_mm_hadd_epi32(sums[0], sums[1]), _mm_hadd_epi32(sums[2], sums[3]));
            four[g] = _mm_srai_epi32(_mm_add_epi32(added, half), kWeightBits + kBetweenBits);
        }
        const __m128i words = _mm_packs_epi32(four[0], four[1]);
        const __m128i bytes = _mm_packus_epi16(words, _mm_setzero_si128());
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i), bytes);
        total = _mm_add_epi64(total, _mm_sad_epu8(bytes, _mm_setzero_si128()));
    }
    return _mm_cvtsi128_si64(total) + horizontal_plain(row, filter, i, side, out);
}

bool has_avx2() { return __builtin_cpu_supports("avx2"); }
#else
bool has_avx2() { return false; }
#endif

void transpose(const uint8_t* from, int side, uint8_t* to) {
    constexpr int kBlock = 32;  // both blocks stay in the nearest cache
    for (int top = 0; top < side; top += kBlock)
        for (int left = 0; left < side; left += kBlock)
            for (int y = top; y < std::min(top + kBlock, side); ++y)
                for (int x = left; x < std::min(left + kBlock, side); ++x)
                    to[static_cast<int64_t>(x) * side + y] = from[static_cast<int64_t>(y) * side + x];
}

// Asks for the source rows that output row i needs and row i - 1 did not: without it half of the time is waiting for memory.
void prefetch_rows(const uint8_t* corner, int64_t pitch, const Filter& down, int i, int width) {
    int first = down.first[i], end = first + down.count[i];
    if (i > 0) {
        const int before = down.first[i - 1], before_end = before + down.count[i - 1];
        if (before <= first) first = std::max(first, before_end);  // downwards through the box
        else end = std::min(end, before);                          // upwards
    }
    for (int y = first; y < end; ++y)
        for (int x = 0; x < width + 63; x += 64) __builtin_prefetch(corner + y * pitch + std::min(x, width - 1));
}

struct Sites {
    const uint8_t* pixels;
    int64_t channels, height, width;
};

void tile_crop(const Sites& sites, const Crop& crop, int side, bool fast, uint8_t* out, int64_t* sums) {
    const Pose pose = pose_of(crop.flip, crop.turn);
    const Filter down(side, crop.height, pose.reverse_y), along(side, crop.width, pose.reverse_x);
    std::vector<int16_t> row(crop.width + along.stride, 0);
    std::vector<uint8_t> upright(pose.transpose ? static_cast<size_t>(side) * side : 0);
    const bool wide = fast && crop.width >= 16;
    for (int64_t channel = 0; channel < sites.channels; ++channel) {
        const int64_t plane = crop.site * sites.channels + channel;
        const uint8_t* corner = sites.pixels + (plane * sites.height + crop.y) * sites.width + crop.x;
        uint8_t* target = out + channel * side * side;
        uint8_t* lines = pose.transpose ? upright.data() : target;
        int64_t total = 0;
        for (int i = 0; i < side; ++i) {
            if (i + kRowsAhead < side) prefetch_rows(corner, sites.width, down, i + kRowsAhead, crop.width);
            const uint8_t* source = corner + static_cast<int64_t>(down.first[i]) * sites.width;
            const int16_t* weights = &down.weights[static_cast<size_t>(i) * down.stride];
            uint8_t* line = lines + static_cast<int64_t>(i) * side;
#ifdef KIT_X86
            if (wide) vertical_avx2(source, sites.width, weights, down.count[i], crop.width, row.data());
#endif
            if (!wide) vertical_plain(source, sites.width, weights, down.count[i], 0, crop.width, row.data());
#ifdef KIT_X86
            if (fast) total += horizontal_avx2(row.data(), along, side, line);
#endif
            if (!fast) total += horizontal_plain(row.data(), along, 0, side, line);
        }
        if (pose.transpose) transpose(lines, side, target);
        sums[channel] = total;
    }
}

// Addresses come from contiguous tensors whose sizes and values kit.kernels.tile has checked.
void tile(uintptr_t sites, int64_t channels, int64_t height, int64_t width, uintptr_t crops, int64_t count, int side,
          uintptr_t out, uintptr_t sums, int threads, bool plain) {
    if (threads < 1) throw std::invalid_argument("tile: threads must be at least 1");
    const Sites source{reinterpret_cast<const uint8_t*>(sites), channels, height, width};
    const auto* table = reinterpret_cast<const Crop*>(crops);
    auto* pixels = reinterpret_cast<uint8_t*>(out);
    auto* totals = reinterpret_cast<int64_t*>(sums);
    const bool fast = !plain && has_avx2();
    pybind11::gil_scoped_release release;
    parallel_for(count, threads, [&](int64_t b) {
        tile_crop(source, table[b], side, fast, pixels + b * channels * side * side, totals + b * channels);
    });
}

}  // namespace
}  // namespace kit

void bind_tile(pybind11::module_& m) {
    namespace py = pybind11;
    m.def("tile", &kit::tile, py::arg("sites"), py::arg("channels"), py::arg("height"), py::arg("width"), py::arg("crops"),
          py::arg("count"), py::arg("side"), py::arg("out"), py::arg("sums"), py::arg("threads"), py::arg("plain") = false);
}
