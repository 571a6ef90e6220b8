// High pass of images: I - mean + 128, the mean over a square around the pixel, as running sums. Integers: see kernels/high_pass.py.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "parallel.h"
#include "simd.h"

namespace kit {

constexpr int MIDDLE = 128;

KIT_SIMD static void add_row(const uint8_t* row, int width, uint32_t* column) {
    for (int x = 0; x < width; ++x) column[x] += row[x];
}

KIT_SIMD static void take_row(const uint8_t* row, int width, uint32_t* column) {
    for (int x = 0; x < width; ++x) column[x] -= row[x];
}

// Pixels whose windows hold the same number n of pixels; the window of pixel x is the columns from first[x] up to past[x].
// The mean is floor((2 sum + n) / (2 n)): half a unit more keeps the quotient 1 / (4 n) away from every integer, far beyond
// the rounding of a double, so that the product with 1 / n is as exact as a division.
KIT_SIMD static void subtract_mean(const uint8_t* row, const uint32_t* first, const uint32_t* past, int n, int width, uint8_t* out) {
    const double inverse = 1.0 / n, half = (n + 0.5) / 2;
    for (int x = 0; x < width; ++x) {
        const auto sum = static_cast<int32_t>(past[x] - first[x]);  // below 2^31 for a side of 2047, though `upto` may wrap
        const int level = row[x] + MIDDLE - static_cast<int>((sum + half) * inverse);
        out[x] = static_cast<uint8_t>(std::min(std::max(level, 0), 255));
    }
}

static void high_pass_image(const uint8_t* image, int height, int width, int reach, uint8_t* out) {
    std::vector<uint32_t> column(width), upto(width + 1);
    const auto row = [&](int y) { return image + static_cast<int64_t>(y) * width; };
    for (int y = 0; y < std::min(reach, height); ++y) add_row(row(y), width, column.data());
    for (int y = 0; y < height; ++y) {
        if (y + reach < height) add_row(row(y + reach), width, column.data());
        if (y > reach) take_row(row(y - reach - 1), width, column.data());
        for (int x = 0; x < width; ++x) upto[x + 1] = upto[x] + column[x];
        const int rows = std::min(y + reach, height - 1) - std::max(y - reach, 0) + 1;
        const auto span = [&](int x, int pixels) {  // `pixels` from x on, all with as many columns as x
            const int first = std::max(x - reach, 0), past = std::min(x + reach + 1, width);
            subtract_mean(row(y) + x, &upto[first], &upto[past], rows * (past - first), pixels, out + static_cast<int64_t>(y) * width + x);
        };
        const int inner = std::max(width - 2 * reach, 0);  // columns whose window is whole
        for (int x = 0; x < std::min(reach, width); ++x) span(x, 1);
        if (inner > 0) span(reach, inner);
        for (int x = std::min(reach, width) + inner; x < width; ++x) span(x, 1);
    }
}

static void high_pass(uintptr_t pixels, int64_t count, int height, int width, int side, uintptr_t out, int threads) {
    pybind11::gil_scoped_release released;
    const auto* images = reinterpret_cast<const uint8_t*>(pixels);
    auto* levels = reinterpret_cast<uint8_t*>(out);
    const int64_t size = static_cast<int64_t>(height) * width;
    parallel_for(count, threads, [&](int64_t i) { high_pass_image(images + i * size, height, width, side / 2, levels + i * size); });
}

}  // namespace kit

void bind_high_pass(pybind11::module_& m) { m.def("high_pass", &kit::high_pass); }
