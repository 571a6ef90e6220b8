// Moments of an image's frequency bands: a pyramid of 5-tap binomial blurs; a band is what a blur removes at one scale.
#include <pybind11/pybind11.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "parallel.h"
#include "simd.h"

namespace kit {

constexpr int LANES = 16;   // sums run in lanes, so that the loop vectorises and the order of additions is the same everywhere
constexpr int MOMENTS = 4;  // sums of the powers 1 to 4

static int mirrored(int i, int length) {  // the edge pixel is not repeated, as numpy's mode "reflect"
    if (i < 0) i = -i;
    return i >= length ? 2 * (length - 1) - i : i;
}

// out[x] = (a[x] + e[x] + 4 (b[x] + d[x]) + 6 c[x]) / 16
KIT_SIMD static void blur_down(const float* a, const float* b, const float* c, const float* d, const float* e, int width, float* out) {
    for (int x = 0; x < width; ++x) out[x] = ((a[x] + e[x]) + 4 * (b[x] + d[x]) + 6 * c[x]) * 0.0625f;
}

// The same along a row; `line` has two mirrored pixels more at either end.
KIT_SIMD static void blur_along(const float* line, int width, float* out) {
    for (int x = 0; x < width; ++x)
        out[x] = ((line[x] + line[x + 4]) + 4 * (line[x + 1] + line[x + 3]) + 6 * line[x + 2]) * 0.0625f;
}

KIT_SIMD static void add_moments(const float* image, const float* blurred, int width, double* lanes) {
    int x = 0;
    for (; x + LANES <= width; x += LANES)
        for (int j = 0; j < LANES; ++j) {
            const double band = image[x + j] - blurred[x + j], square = band * band;
            lanes[j] += band;
            lanes[LANES + j] += square;
            lanes[2 * LANES + j] += square * band;
            lanes[3 * LANES + j] += square * square;
        }
    for (int j = 0; x < width; ++x, ++j) {
        const double band = image[x] - blurred[x], square = band * band;
        lanes[j] += band;
        lanes[LANES + j] += square;
        lanes[2 * LANES + j] += square * band;
        lanes[3 * LANES + j] += square * square;
    }
}

// One level: its moments, and every other pixel of the blurred image, which is the next level.
static std::vector<float> take_band(const std::vector<float>& image, int height, int width, double* moments) {
    const int next_width = (width + 1) / 2;
    std::vector<float> next(static_cast<size_t>((height + 1) / 2) * next_width), line(width + 4), blurred(width);
    double lanes[MOMENTS * LANES] = {};
    const auto row = [&](int y) { return image.data() + static_cast<size_t>(mirrored(y, height)) * width; };
    for (int y = 0; y < height; ++y) {
        blur_down(row(y - 2), row(y - 1), row(y), row(y + 1), row(y + 2), width, line.data() + 2);
        for (int i = 1; i <= 2; ++i) {
            line[2 - i] = line[2 + mirrored(-i, width)];
            line[width + 1 + i] = line[2 + mirrored(width - 1 + i, width)];
        }
        blur_along(line.data(), width, blurred.data());
        add_moments(row(y), blurred.data(), width, lanes);
        if (y % 2 == 0)
            for (int x = 0; x < next_width; ++x) next[static_cast<size_t>(y / 2) * next_width + x] = blurred[2 * x];
    }
    for (int power = 0; power < MOMENTS; ++power)
        for (int j = 0; j < LANES; ++j) moments[power] += lanes[power * LANES + j];
    return next;
}

static void bands_of_image(const uint8_t* pixels, int height, int width, int levels, double* out) {
    std::vector<float> image(pixels, pixels + static_cast<size_t>(height) * width);
    for (int level = 0; level < levels; ++level) {
        image = take_band(image, height, width, out + level * MOMENTS);
        height = (height + 1) / 2;
        width = (width + 1) / 2;
    }
}

static void bands(uintptr_t pixels, int64_t count, int height, int width, int levels, uintptr_t out, int threads) {
    pybind11::gil_scoped_release released;
    const auto* images = reinterpret_cast<const uint8_t*>(pixels);
    auto* sums = reinterpret_cast<double*>(out);
    parallel_for(count, threads, [&](int64_t i) {
        bands_of_image(images + i * height * width, height, width, levels, sums + i * levels * MOMENTS);
    });
}

}  // namespace kit

void bind_bands(pybind11::module_& m) { m.def("band_moments", &kit::bands); }
