#include "view_rows.h"

#include "simd.h"
#include "warp.h"

namespace kit {

KIT_SIMD void fill_columns(int width, float per_spacing, Columns columns) {
    for (int x = 0; x < width; ++x) {
        const float place = static_cast<float>(x) * per_spacing;
        const int cell = static_cast<int>(place);
        const Spline spline = spline_weights(place - static_cast<float>(cell));
        columns.cell[x] = cell;
        for (int tap = 0; tap < 4; ++tap) columns.w[tap][x] = spline.w[tap];
    }
}

KIT_SIMD void fill_row(const float* lattice, int lattice_height, int lattice_width, int y, float per_spacing, float* row) {
    const float place = static_cast<float>(y) * per_spacing;
    int cell = static_cast<int>(place);
    const Spline spline = spline_weights(place - static_cast<float>(cell));
    cell = cell < lattice_height - 4 ? cell : lattice_height - 4;
    const float* a = lattice + cell * lattice_width;
    for (int k = 0; k < lattice_width; ++k) {
        float sum = spline.w[0] * a[k];
        for (int tap = 1; tap < 4; ++tap) sum = sum + spline.w[tap] * a[k + tap * lattice_width];
        row[k] = sum;
    }
}

// One row of the field: a lattice cell at a time, so that its four coefficients stay in registers.
KIT_SIMD void spread_row(const float* row, Columns columns, int width, float* __restrict out) {
    const float *__restrict w0 = columns.w[0], *__restrict w1 = columns.w[1], *__restrict w2 = columns.w[2], *__restrict w3 = columns.w[3];
    for (int x = 0; x < width;) {
        const int cell = columns.cell[x];
        const float a = row[cell], b = row[cell + 1], c = row[cell + 2], d = row[cell + 3];
        int end = x + 1;
        while (end < width && columns.cell[end] == cell) ++end;
        for (; x < end; ++x) out[x] = w0[x] * a + w1[x] * b + w2[x] * c + w3[x] * d;
    }
}

// `along` and `aside` displace the row in x and y.
KIT_SIMD void place_row(int y, int height, int width, const int32_t* affine, const float* __restrict along, const float* __restrict aside,
                        Places out) {
    const int32_t ax = affine[0], x0 = affine[1] * y + affine[2], ay = affine[3], y0 = affine[4] * y + affine[5];
    int32_t* __restrict corner = out.corner;
    float *__restrict right = out.right, *__restrict below = out.below;
    for (int x = 0; x < width; ++x) {
        const Tap across = tap_at(ax * x + x0, along[x], width), down = tap_at(ay * x + y0, aside[x], height);
        corner[x] = down.low * width + across.low;
        right[x] = across.share;
        below[x] = down.share;
    }
}

// Packs the 2 x 2 pixels from every corner into one word, so that one gather fetches all four.
KIT_SIMD void pack_corners(const uint8_t* plane, int height, int width, uint32_t* packed) {
    for (int y = 0; y + 1 < height; ++y) {
        const uint8_t *upper = plane + static_cast<int64_t>(y) * width, *lower = upper + width;
        uint32_t* row = packed + static_cast<int64_t>(y) * width;
        for (int x = 0; x + 1 < width; ++x) row[x] = upper[x] | upper[x + 1] << 8 | lower[x] << 16 | static_cast<uint32_t>(lower[x + 1]) << 24;
    }
}

KIT_SIMD void gather_packed(const uint32_t* packed, Places at, int count, float scale, float shift, float* out) {
    for (int i = 0; i < count; ++i) {
        const uint32_t four = packed[at.corner[i]];
        const float p00 = static_cast<float>(static_cast<int32_t>(four & 255)), p01 = static_cast<float>(static_cast<int32_t>(four >> 8 & 255));
        const float p10 = static_cast<float>(static_cast<int32_t>(four >> 16 & 255)), p11 = static_cast<float>(static_cast<int32_t>(four >> 24));
        out[i] = bilinear(p00, p01, p10, p11, at.right[i], at.below[i]) * (1 / 255.0f) * scale + shift;
    }
}

KIT_SIMD void gather_floats(const float* plane, int width, Places at, int count, float scale, float shift, float* out) {
    for (int i = 0; i < count; ++i) {
        const int32_t corner = at.corner[i];
        const float p00 = plane[corner], p01 = plane[corner + 1], p10 = plane[corner + width], p11 = plane[corner + width + 1];
        out[i] = bilinear(p00, p01, p10, p11, at.right[i], at.below[i]) * scale + shift;
    }
}

KIT_SIMD void copy_bytes(const uint8_t* plane, int count, float scale, float shift, float* out) {
    for (int i = 0; i < count; ++i) out[i] = static_cast<float>(static_cast<int32_t>(plane[i])) * (1 / 255.0f) * scale + shift;
}

KIT_SIMD void copy_floats(const float* plane, int count, float scale, float shift, float* out) {
    for (int i = 0; i < count; ++i) out[i] = plane[i] * scale + shift;
}

KIT_SIMD void noise_few(float* x, int count, uint32_t first, int64_t sample, uint64_t seed, ChannelNoise noise, const uint32_t* fine) {
    const uint32_t low = static_cast<uint32_t>(sample), high = static_cast<uint32_t>(sample >> 32);
    const uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int i = 0; i < count; ++i) x[i] = add_noise<false>(x[i], first + i, low, high, k0, k1, noise, fine, nullptr);
}

KIT_SIMD void noise_many(float* x, int count, uint32_t first, int64_t sample, uint64_t seed, ChannelNoise noise, const uint32_t* fine,
                         const uint32_t* coarse) {
    const uint32_t low = static_cast<uint32_t>(sample), high = static_cast<uint32_t>(sample >> 32);
    const uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int i = 0; i < count; ++i) x[i] = add_noise<true>(x[i], first + i, low, high, k0, k1, noise, fine, coarse);
}

// `x` is the intensity times the gain, not yet clipped.
KIT_SIMD void expose_plane(float* x, int64_t count, float contrast, float shift) {
    for (int64_t i = 0; i < count; ++i) x[i] = clipped(clipped(x[i]) * contrast + shift);
}

// The mean of clip(I * gain): every level counted, so that the sum is over 256 terms, each in double.
float clipped_mean_of_bytes(const uint8_t* plane, int64_t count, float gain) {
    int64_t counts[4][256] = {};  // four tables: a run of equal pixels does not wait for itself
    const int64_t even = count / 4 * 4;
    for (int64_t i = 0; i < even; i += 4)
        for (int lane = 0; lane < 4; ++lane) ++counts[lane][plane[i + lane]];
    for (int64_t i = even; i < count; ++i) ++counts[0][plane[i]];
    double sum = 0;
    for (int level = 0; level < 256; ++level) {
        const int64_t pixels = counts[0][level] + counts[1][level] + counts[2][level] + counts[3][level];
        sum += static_cast<double>(pixels) * static_cast<double>(clipped(static_cast<float>(level) * (1 / 255.0f) * gain));
    }
    return static_cast<float>(sum / static_cast<double>(count));
}

KIT_SIMD float clipped_mean_of_floats(const float* plane, int64_t count, float gain) {
    constexpr int lanes = 16;
    double sums[lanes] = {};
    const int64_t even = count / lanes * lanes;
    for (int64_t i = 0; i < even; i += lanes)
        for (int lane = 0; lane < lanes; ++lane) sums[lane] += static_cast<double>(clipped(plane[i + lane] * gain));
    for (int64_t i = even; i < count; ++i) sums[i - even] += static_cast<double>(clipped(plane[i] * gain));
    double total = 0;
    for (int lane = 0; lane < lanes; ++lane) total += sums[lane];
    return static_cast<float>(total / static_cast<double>(count));
}

KIT_SIMD void scale_plane(float* x, int64_t count, float scale, float shift) {
    for (int64_t i = 0; i < count; ++i) x[i] = x[i] * scale + shift;
}

// (x - mean) / (sd + floor). Sixteen running sums in double: the same result however many threads there are.
KIT_SIMD void standardise_plane(float* x, int64_t count, float floor) {
    constexpr int lanes = 16;
    double sums[lanes] = {}, squares[lanes] = {};
    const int64_t even = count / lanes * lanes;
    for (int64_t i = 0; i < even; i += lanes)
        for (int lane = 0; lane < lanes; ++lane) sums[lane] += static_cast<double>(x[i + lane]);
    for (int64_t i = even; i < count; ++i) sums[i - even] += static_cast<double>(x[i]);
    double total = 0;
    for (int lane = 0; lane < lanes; ++lane) total += sums[lane];
    const double mean = total / static_cast<double>(count);
    for (int64_t i = 0; i < even; i += lanes)
        for (int lane = 0; lane < lanes; ++lane) {
            const double away = static_cast<double>(x[i + lane]) - mean;
            squares[lane] += away * away;
        }
    for (int64_t i = even; i < count; ++i) squares[i - even] += (x[i] - mean) * (x[i] - mean);
    double spread = 0;
    for (int lane = 0; lane < lanes; ++lane) spread += squares[lane];
    const float centre = static_cast<float>(mean);
    const double width = sqrt(spread / static_cast<double>(count)) + static_cast<double>(floor);
    const float scale = width > 0 ? static_cast<float>(1 / width) : 0.0f;
    for (int64_t i = 0; i < count; ++i) x[i] = (x[i] - centre) * scale;
}

KIT_SIMD void words_of_sample(int64_t sample, int64_t count, uint64_t seed, uint32_t stream, int64_t* out) {
    const uint32_t low = static_cast<uint32_t>(sample), high = static_cast<uint32_t>(sample >> 32);
    const uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int32_t i = 0; i < static_cast<int32_t>(count); ++i) {
        const Words words = philox(static_cast<uint32_t>(i), low, high, stream, k0, k1);
        out[4 * static_cast<int64_t>(i)] = words.a;
        out[4 * static_cast<int64_t>(i) + 1] = words.b;
        out[4 * static_cast<int64_t>(i) + 2] = words.c;
        out[4 * static_cast<int64_t>(i) + 3] = words.d;
    }
}

// 9 x 9 Gaussian (weights of offsets 0 to 4) with reflection, across then down, then solarisation. `between`: one plane.
KIT_SIMD void blur_plane(const float* in, int height, int width, const float* weights, bool solarise, float* between, float* out) {
    for (int y = 0; y < height; ++y) {
        const float* row = in + static_cast<int64_t>(y) * width;
        float* to = between + static_cast<int64_t>(y) * width;
        for (int x = 0; x < width; ++x) to[x] = weights[0] * row[x];
        for (int k = 1; k < 5; ++k) {
            for (int x = 0; x < k; ++x) to[x] += weights[k] * (row[k - x] + row[x + k]);
            for (int x = k; x < width - k; ++x) to[x] += weights[k] * (row[x - k] + row[x + k]);
            for (int x = width - k; x < width; ++x) to[x] += weights[k] * (row[x - k] + row[2 * (width - 1) - x - k]);
        }
    }
    for (int y = 0; y < height; ++y) {
        float* to = out + static_cast<int64_t>(y) * width;
        const float* row = between + static_cast<int64_t>(y) * width;
        for (int x = 0; x < width; ++x) to[x] = weights[0] * row[x];
        for (int k = 1; k < 5; ++k) {
            const float* upper = between + static_cast<int64_t>(reflect(y - k, height)) * width;
            const float* lower = between + static_cast<int64_t>(reflect(y + k, height)) * width;
            for (int x = 0; x < width; ++x) to[x] += weights[k] * (upper[x] + lower[x]);
        }
        if (solarise)
            for (int x = 0; x < width; ++x) to[x] = to[x] >= 0.5f ? 1 - to[x] : to[x];
    }
}

}  // namespace kit
