// Mean products of an image's Haar details, patch by patch and scale by scale: see kernels/haar.py.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "parallel.h"
#include "simd.h"

namespace kit {

constexpr int LANES = 16;  // sums are kept in registers, so many columns at a time

// Halves two rows: `width` means of 2 x 2 pixels, and the three details that are lost, in rows of `stride` after each other.
KIT_SIMD static void halve(const float* above, const float* below, int width, int stride, float* mean, float* details) {
    float *along = details, *down = details + stride, *across = details + 2 * stride;
    for (int x = 0; x < width; ++x) {
        const float a = above[2 * x], b = above[2 * x + 1], c = below[2 * x], d = below[2 * x + 1];
        const float upper = a + b, lower = c + d, left = a - b, right = c - d;
        mean[x] = (upper + lower) * 0.25f;
        along[x] = (left + right) * 0.25f;
        down[x] = (upper - lower) * 0.25f;
        across[x] = (left - right) * 0.25f;
    }
}

// sums[x] = the products of two channels' details in column x, added up over rows of `stride`, a multiple of LANES.
KIT_SIMD static void add_products(const float* one, const float* other, int rows, int stride, float* sums) {
    for (int x = 0; x < stride; x += LANES) {
        float lanes[LANES] = {};
        const float *a = one + x, *b = other + x;
        for (int row = 0; row < rows; ++row, a += stride, b += stride)
            for (int j = 0; j < LANES; ++j) lanes[j] += a[j] * b[j];
        std::copy_n(lanes, LANES, sums + x);
    }
}

// One row of patches: `band` holds its pixels [C, 2 ** scales, width], of which the means of each scale take the place.
static void products_of_band(std::vector<float>& band, int channels, int width, int scales, float* out) {
    const int pairs = channels * (channels + 1) / 2, numbers = scales * pairs + channels, patches = width >> scales;
    std::vector<float> means(width), sums(width + LANES), details;
    for (int scale = 0; scale < scales; ++scale) {
        const int columns = width >> (scale + 1), rows = 1 << (scales - scale - 1);  // of the halved band
        const int stride = (columns + LANES - 1) / LANES * LANES;
        const size_t size = static_cast<size_t>(rows) * columns, detail = static_cast<size_t>(3) * rows * stride;
        details.assign(channels * detail, 0.0f);
        for (int c = 0; c < channels; ++c)
            for (int y = 0; y < rows; ++y) {  // what is written of the means lies before all that is still to be read
                const float* above = band.data() + 4 * (size * c + static_cast<size_t>(columns) * y);
                halve(above, above + 2 * columns, columns, stride, means.data(), details.data() + detail * c + static_cast<size_t>(3) * stride * y);
                std::copy_n(means.data(), columns, band.data() + size * c + static_cast<size_t>(columns) * y);
            }
        const float blocks = static_cast<float>(rows * rows);
        float* place = out + scale * pairs;
        const auto take = [&](int one, int other) {
            add_products(details.data() + detail * one, details.data() + detail * other, 3 * rows, stride, sums.data());
            for (int p = 0; p < patches; ++p) {
                float sum = 0;
                for (int x = p * rows; x < (p + 1) * rows; ++x) sum += sums[x];
                place[static_cast<size_t>(p) * numbers] = sum / blocks;
            }
            ++place;
        };
        for (int c = 0; c < channels; ++c) take(c, c);
        for (int one = 0; one < channels; ++one)
            for (int other = one + 1; other < channels; ++other) take(one, other);
    }
    for (int p = 0; p < patches; ++p)
        for (int c = 0; c < channels; ++c)
            out[static_cast<size_t>(p) * numbers + scales * pairs + c] = band[static_cast<size_t>(patches) * c + p];
}

static void haar_products(uintptr_t pixels, int64_t count, int channels, int height, int width, int scales, uintptr_t out, int threads) {
    pybind11::gil_scoped_release released;
    const auto* views = reinterpret_cast<const float*>(pixels);
    auto* numbers = reinterpret_cast<float*>(out);
    const int bands = height >> scales, side = 1 << scales;
    const size_t plane = static_cast<size_t>(height) * width, strip = static_cast<size_t>(side) * width;
    const size_t each = static_cast<size_t>(width >> scales) * (scales * channels * (channels + 1) / 2 + channels);
    parallel_for(count, threads, [&](int64_t view) {
        std::vector<float> band(channels * strip);
        for (int b = 0; b < bands; ++b) {
            for (int c = 0; c < channels; ++c) std::copy_n(views + (view * channels + c) * plane + b * strip, strip, band.data() + c * strip);
            products_of_band(band, channels, width, scales, numbers + (view * bands + b) * each);
        }
    });
}

}  // namespace kit

void bind_haar(pybind11::module_& m) { m.def("haar_products", &kit::haar_products); }
