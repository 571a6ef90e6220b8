// The two passes of the tile op, in plain C++ and for the vector units of x86: the same integers from each.
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "tile.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define KIT_X86 1
#include <immintrin.h>
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // gcc 12 warns of its own AVX-512 header
#endif

namespace kit {

constexpr int kReadable = 64;  // a row between the passes can be read this far beyond its width; weights there are zero

// The filter of one axis, in the order in which output pixels are written. Rows of weights are padded with zeros.
struct Filter {
    int stride, pairs = 0;  // weights of one output pixel; the most pairs of taps that any has
    std::vector<int> first, count;
    std::vector<int16_t> weights;

    Filter(int side, int length, bool reverse) : stride((most_taps(side, length) + 7) / 8 * 8), first(side), count(side) {
        weights.assign(static_cast<size_t>(side) * stride, 0);
        for (int i = 0; i < side; ++i) {
            const int source = reverse ? side - 1 - i : i;
            const Taps taps = taps_of(source, side, length);
            first[i] = taps.first;
            count[i] = taps.count;
            pairs = std::max(pairs, (taps.count + 1) / 2);
            write_weights(source, side, length, taps, &weights[static_cast<size_t>(i) * stride]);
        }
    }
    const int16_t* of(int i) const { return &weights[static_cast<size_t>(i) * stride]; }
};

// The same for 16 output pixels at a time: where in a window of 64 pixels their pairs of taps lie, and what these weigh.
struct Window {
    int base;
    alignas(64) uint16_t place[8][32];
    alignas(64) int16_t weight[8][32];
};

// Empty where a window or its pairs would not fit.
inline std::vector<Window> windows_of(const Filter& filter, int side) {
    if (filter.pairs > 8) return {};
    std::vector<Window> windows((side + 15) / 16);
    for (int w = 0; w < static_cast<int>(windows.size()); ++w) {
        Window& window = windows[w];
        std::memset(&window, 0, sizeof window);
        const int from = 16 * w, to = std::min(from + 16, side);
        window.base = std::min(filter.first[from], filter.first[to - 1]);
        for (int i = from; i < to; ++i) {
            const int offset = filter.first[i] - window.base;
            if (offset + 2 * filter.pairs > 64) return {};
            for (int k = 0; k < 2 * filter.pairs; ++k) {
                window.place[k / 2][2 * (i - from) + k % 2] = static_cast<uint16_t>(offset + k);
                window.weight[k / 2][2 * (i - from) + k % 2] = filter.of(i)[k];
            }
        }
    }
    return windows;
}

// One output row before the horizontal pass: `count` source rows, `pitch` bytes apart, weighted.
inline void vertical_plain(const uint8_t* source, int64_t pitch, const int16_t* weights, int count, int width, int16_t* row) {
    for (int x = 0; x < width; ++x) {
        int sum = 0;
        for (int k = 0; k < count; ++k) sum += weights[k] * source[k * pitch + x];
        row[x] = static_cast<int16_t>(after_vertical(sum));
    }
}

// Output pixels `from` to `side` of one row; returns their sum.
inline int64_t horizontal_plain(const int16_t* row, const Filter& filter, int from, int side, uint8_t* out) {
    int64_t total = 0;
    for (int i = from; i < side; ++i) {
        int sum = 0;
        for (int k = 0; k < filter.count[i]; ++k) sum += filter.of(i)[k] * row[filter.first[i] + k];
        out[i] = static_cast<uint8_t>(after_horizontal(sum));
        total += out[i];
    }
    return total;
}

#ifdef KIT_X86
#define KIT_AVX2 __attribute__((target("avx2")))
#define KIT_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

// The rows of a vertical pass in pairs; an odd last row is paired with itself at weight zero.
struct RowPairs {
    const uint8_t* row[2];
    int weights;
};

inline int pair_rows(const uint8_t* source, int64_t pitch, const int16_t* weights, int count, RowPairs* pairs) {
    for (int k = 0; k < count; k += 2) {
        const uint8_t* even = source + k * pitch;
        pairs[k / 2] = {{even, k + 1 < count ? even + pitch : even}, 0};
        std::memcpy(&pairs[k / 2].weights, weights + k, sizeof(int));
    }
    return (count + 1) / 2;
}

template <int kPairs>  // 0: as many as `n` says
KIT_AVX2 void vertical_avx2(const RowPairs* pairs, int n, int width, int16_t* row) {
    const __m256i half = _mm256_set1_epi32(1 << (kWeightBits - kBetweenBits - 1));
    for (int at = 0; at < width; at += 16) {
        const int x = at + 16 <= width ? at : width - 16;  // the last step overlaps the one before
        __m256i low = half, high = half;
        for (int p = 0; p < (kPairs ? kPairs : n); ++p) {
            const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pairs[p].row[0] + x));
            const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pairs[p].row[1] + x));
            const __m256i weights = _mm256_set1_epi32(pairs[p].weights);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)), weights));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b)), weights));
        }
        low = _mm256_srai_epi32(low, kWeightBits - kBetweenBits);
        high = _mm256_srai_epi32(high, kWeightBits - kBetweenBits);
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + x), packed);
    }
}

template <int kPairs>
KIT_AVX512 void vertical_avx512(const RowPairs* pairs, int n, int width, int16_t* row) {
    const __m512i half = _mm512_set1_epi32(1 << (kWeightBits - kBetweenBits - 1));
    const __m512i in_order = _mm512_setr_epi64(0, 2, 1, 3, 4, 6, 5, 7);
    for (int at = 0; at < width; at += 32) {
        const int x = at + 32 <= width ? at : width - 32;
        __m512i low = half, high = half;
        for (int p = 0; p < (kPairs ? kPairs : n); ++p) {
            const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs[p].row[0] + x));
            const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs[p].row[1] + x));
            const __m512i weights = _mm512_set1_epi32(pairs[p].weights);
            low = _mm512_add_epi32(low, _mm512_madd_epi16(_mm512_cvtepu8_epi16(_mm256_unpacklo_epi8(a, b)), weights));
            high = _mm512_add_epi32(high, _mm512_madd_epi16(_mm512_cvtepu8_epi16(_mm256_unpackhi_epi8(a, b)), weights));
        }
        low = _mm512_srai_epi32(low, kWeightBits - kBetweenBits);
        high = _mm512_srai_epi32(high, kWeightBits - kBetweenBits);
        _mm512_storeu_si512(row + x, _mm512_permutexvar_epi64(in_order, _mm512_packs_epi32(low, high)));
    }
}

KIT_AVX2 inline __m128i dot_avx2(const int16_t* row, const int16_t* weights, int stride) {
    __m128i sum = _mm_madd_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)),
                                 _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
    for (int k = 8; k < stride; k += 8)
        sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + k)),
                                                _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + k))));
    return sum;
}

KIT_AVX2 inline int64_t horizontal_avx2(const int16_t* row, const Filter& filter, int side, uint8_t* out) {
    const __m128i half = _mm_set1_epi32(1 << (kWeightBits + kBetweenBits - 1));
    __m128i total = _mm_setzero_si128();
    int i = 0;
    for (; i + 8 <= side; i += 8) {
        __m128i four[2];
        for (int g = 0; g < 2; ++g) {
            __m128i sums[4];
            for (int j = 0; j < 4; ++j) {
                const int at = i + 4 * g + j;
                sums[j] = dot_avx2(row + filter.first[at], filter.of(at), filter.stride);
            }
            const __m128i added = _mm_hadd_epi32(_mm_hadd_epi32(sums[0], sums[1]), _mm_hadd_epi32(sums[2], sums[3]));
            four[g] = _mm_srai_epi32(_mm_add_epi32(added, half), kWeightBits + kBetweenBits);
        }
        const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(four[0], four[1]), _mm_setzero_si128());
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i), bytes);
        total = _mm_add_epi64(total, _mm_sad_epu8(bytes, _mm_setzero_si128()));
    }
    return _mm_cvtsi128_si64(total) + horizontal_plain(row, filter, i, side, out);
}

template <int kPairs>
KIT_AVX512 int64_t horizontal_avx512(const int16_t* row, const std::vector<Window>& windows, int n, int side, uint8_t* out) {
    const __m512i half = _mm512_set1_epi32(1 << (kWeightBits + kBetweenBits - 1));
    __m128i total = _mm_setzero_si128();
    for (size_t w = 0; w < windows.size(); ++w) {
        const Window& window = windows[w];
        const __m512i near = _mm512_loadu_si512(row + window.base), far = _mm512_loadu_si512(row + window.base + 32);
        __m512i sum = half;
        for (int p = 0; p < (kPairs ? kPairs : n); ++p) {
            const __m512i taps = _mm512_permutex2var_epi16(near, _mm512_load_si512(window.place[p]), far);
            sum = _mm512_add_epi32(sum, _mm512_madd_epi16(taps, _mm512_load_si512(window.weight[p])));
        }
        const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_srai_epi32(sum, kWeightBits + kBetweenBits));
        const int left = side - 16 * static_cast<int>(w);  // pixels beyond the row weigh nothing and are zero
        _mm_mask_storeu_epi8(out + 16 * w, left >= 16 ? 0xffff : (1 << left) - 1, bytes);
        total = _mm_add_epi64(total, _mm_sad_epu8(bytes, _mm_setzero_si128()));
    }
    return _mm_cvtsi128_si64(total) + _mm_extract_epi64(total, 1);
}

inline void transpose_16(const uint8_t* from, int side, uint8_t* to) {
    __m128i a[16], b[16];
    for (int i = 0; i < 16; ++i) a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + static_cast<int64_t>(i) * side));
    for (int stage = 0; stage < 4; ++stage) {  // each interleaves rows i and i + 8: after four, rows are columns
        for (int i = 0; i < 8; ++i) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
        std::memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < 16; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + static_cast<int64_t>(i) * side), a[i]);
}
#endif

// to[x, y] = from[y, x], both side x side.
inline void transpose(const uint8_t* from, int side, uint8_t* to) {
    for (int top = 0; top < side; top += 16)
        for (int left = 0; left < side; left += 16) {
            const uint8_t* block = from + static_cast<int64_t>(top) * side + left;
            uint8_t* target = to + static_cast<int64_t>(left) * side + top;
            const int tall = std::min(16, side - top), wide = std::min(16, side - left);
#ifdef KIT_X86
            if (tall == 16 && wide == 16) {
                transpose_16(block, side, target);
                continue;
            }
#endif
            for (int y = 0; y < tall; ++y)
                for (int x = 0; x < wide; ++x) target[static_cast<int64_t>(x) * side + y] = block[static_cast<int64_t>(y) * side + x];
        }
}

}  // namespace kit
