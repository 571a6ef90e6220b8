// The microscope's noise on one pixel: exact Poisson counts by superposition and alias tables (kernels/poisson.py), read noise.
#pragma once
#include "philox.h"

namespace kit {

constexpr float kFineStep = 0.0390625f, kFineRows = 256, kCoarseRows = 32;  // fine rows: L = q / 25.6; coarse rows: L = 10 A

// One draw from a row of an alias table: the high `bits` of a word choose the column, the low ones toss its coin.
template <int bits>
KIT_FN int alias_draw(const uint32_t* table, int row, uint32_t word) {
    constexpr int shift = 32 - bits;
    constexpr int32_t low = (1 << shift) - 1;
    const int32_t column = static_cast<int32_t>(word >> shift);
    const uint32_t entry = table[(row << bits) + column];
    const int32_t other = static_cast<int32_t>(entry >> shift);
    return static_cast<int32_t>(word & low) < static_cast<int32_t>(entry & low) ? column : other;
}

KIT_FN int clamp_int(int value, int last) { return value < 0 ? 0 : value > last ? last : value; }

// Poisson count of a mean of 0 to 10; a and b are random words.
KIT_FN float poisson_fine(float rate, uint32_t a, uint32_t b, const uint32_t* fine) {
    const int row = clamp_int(static_cast<int>(rate * 25.6f), static_cast<int>(kFineRows) - 1);
    const float rest = rate - static_cast<float>(row) * kFineStep, coin = coin_of(b);
    const float one = rest * (1 - rest * (0.5f - rest * (1 / 6.0f - rest * (1 / 24.0f))));
    const float two = rest * rest * (0.5f - rest * (1 / 3.0f - rest * 0.125f));
    const float three = rest * rest * rest * (1 / 6.0f - rest * 0.125f);
    const int more = (coin < one ? 1 : 0) + (coin < two ? 1 : 0) + (coin < three ? 1 : 0);
    return static_cast<float>(alias_draw<5>(fine, row, a) + more);
}

// Takes the tens off a mean of 0 to 320, and returns the count they give.
KIT_FN float poisson_coarse(float* rate, uint32_t word, const uint32_t* coarse) {
    const int tens = clamp_int(static_cast<int>(*rate * 0.1f), static_cast<int>(kCoarseRows) - 1);
    const float rest = *rate - static_cast<float>(tens) * 10;
    *rate = rest > 0 ? rest : 0;
    const int low = tens * 10 - 120;
    return static_cast<float>((low > 0 ? low : 0) + alias_draw<8>(coarse, tens, word));
}

struct ChannelNoise {
    float rate, shot, dark, read;  // rate = 1 / shot, or 0: no noise on this channel
    uint32_t stream, coarse_stream;
};

// Counter of a pixel: (index in the plane, sample low word, sample high word, stream).
template <bool many>
KIT_FN float add_noise(float x, uint32_t pixel, uint32_t low, uint32_t high, uint32_t k0, uint32_t k1, const ChannelNoise& noise,
                       const uint32_t* fine, const uint32_t* coarse) {
    const Words words = philox(pixel, low, high, noise.stream, k0, k1);
    float rate = (x > 0 ? (x < 1 ? x : 1) : 0) * noise.rate, count = 0;  // NaN becomes 0
    if (many) count = poisson_coarse(&rate, philox(pixel, low, high, noise.coarse_stream, k0, k1).a, coarse);
    count += poisson_fine(rate, words.a, words.b, fine);
    const float normal = sqrtf(-2 * log_of(uniform(words.c))) * sin_turn(uniform(words.d));
    const float noisy = count * noise.shot + noise.dark + normal * noise.read;
    return noisy > 0 ? (noisy < 1 ? noisy : 1) : 0;
}

}  // namespace kit
