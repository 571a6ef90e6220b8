// What host and device compilers spell differently. KIT_FN: a small function for both, always inlined.
#pragma once
#include <math.h>

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define KIT_FN __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define KIT_FN inline __attribute__((always_inline))
#else
#define KIT_FN inline
#endif

namespace kit {

// In [0, 1]; NaN stays NaN.
KIT_FN float clipped(float x) { return x < 0 ? 0.0f : x > 1 ? 1.0f : x; }

KIT_FN int32_t float_bits(float value) {
    int32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

KIT_FN float bits_float(int32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

}  // namespace kit
