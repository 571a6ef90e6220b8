// Instructions of the GPU that kernels are written with, and what they mean on a host.
#pragma once
#include "portable.h"

namespace kit {

// Four bytes chosen from b:a by the nibbles of `order`.
KIT_FN uint32_t byte_perm(uint32_t a, uint32_t b, uint32_t order) {
#ifdef __CUDA_ARCH__
    return __byte_perm(a, b, order);
#else
    const uint64_t both = static_cast<uint64_t>(b) << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; ++i) result |= static_cast<uint32_t>(both >> (8 * (order >> 4 * i & 7)) & 255) << (8 * i);
    return result;
#endif
}

// The lower 32 bits of high:low moved right by `bits`, 0 to 31.
KIT_FN uint32_t funnel_right(uint32_t low, uint32_t high, uint32_t bits) {
#ifdef __CUDA_ARCH__
    return __funnelshift_r(low, high, bits);
#else
    return static_cast<uint32_t>((static_cast<uint64_t>(high) << 32 | low) >> bits);
#endif
}

// sum + the two 16-bit halves of `pair` times bytes 0 and 1 (low) or 2 and 3 (high) of `bytes`, all unsigned.
KIT_FN uint32_t dot2_low(uint32_t pair, uint32_t bytes, uint32_t sum) {
#ifdef __CUDA_ARCH__
    return __dp2a_lo(pair, bytes, sum);
#else
    return sum + (pair & 0xffff) * (bytes & 255) + (pair >> 16) * (bytes >> 8 & 255);
#endif
}

KIT_FN uint32_t dot2_high(uint32_t pair, uint32_t bytes, uint32_t sum) {
#ifdef __CUDA_ARCH__
    return __dp2a_hi(pair, bytes, sum);
#else
    return dot2_low(pair, bytes >> 16, sum);
#endif
}

}  // namespace kit
