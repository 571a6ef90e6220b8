// Philox4x32-10 (Salmon et al., SC 2011) and what is made of its words.
#pragma once
#include "portable.h"

namespace kit {

struct Words {
    uint32_t a, b, c, d;
};

KIT_FN Words philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
#ifdef __CUDACC__
#pragma unroll
#else
#pragma GCC unroll 10
#endif
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = static_cast<uint64_t>(c0) * 0xD2511F53u, p1 = static_cast<uint64_t>(c2) * 0xCD9E8D57u;
        const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
        c1 = static_cast<uint32_t>(p1), c3 = static_cast<uint32_t>(p0), c0 = n0, c2 = n2;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return {c0, c1, c2, c3};
}

// A uniform number in (0, 1), never 0 or 1: 23 bits and a half, exact.
KIT_FN float uniform(uint32_t word) { return (static_cast<float>(static_cast<int32_t>(word >> 9)) + 0.5f) * 0x1p-23f; }

// A uniform number from 0 to 1 that is finest near 0, to be compared with small probabilities.
KIT_FN float coin_of(uint32_t word) { return static_cast<float>(static_cast<int32_t>(word >> 1)) * 0x1p-31f; }

// Natural logarithm of 0 < x < infinity (no denormals), to 1e-7.
KIT_FN float log_of(float x) {
    const int32_t bits = float_bits(x), power = (bits - 0x3F3504F3) >> 23;  // mantissa from sqrt(1/2) to sqrt(2)
    const float m = bits_float(bits - power * (1 << 23)) - 1;
    float tail = 0.0950125201f;
    tail = tail * m - 0.142018499f;
    tail = tail * m + 0.146461145f;
    tail = tail * m - 0.165834516f;
    tail = tail * m + 0.199862374f;
    tail = tail * m - 0.250011288f;
    tail = tail * m + 0.333334032f;
    return static_cast<float>(power) * 0.693147181f + (m - 0.5f * m * m + m * m * m * tail);
}

// sin(2 pi y) for 0 < y < 1, to 1e-7.
KIT_FN float sin_turn(float y) {
    const float t = 0.5f - y;  // sin(2 pi y) = sin(2 pi t)
    const float size = t < 0 ? -t : t, fold = size > 0.25f ? 0.5f - size : size;
    const float s = t < 0 ? -fold : fold, q = s * s;
    return s * (6.28318528f + q * (-41.3416807f + q * (81.6024851f + q * (-76.5813965f + q * 39.7616166f))));
}

}  // namespace kit
