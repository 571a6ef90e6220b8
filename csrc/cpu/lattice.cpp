// Spline coefficients of random displacement fields: white noise on a lattice, blurred along both axes, in double precision.
#include <pybind11/pybind11.h>

#include <cmath>
#include <vector>

#include "parallel.h"
#include "philox.h"

namespace kit {

// Where the fields come from and go to; kit.kernels.elastic_warp.elastic_lattice has checked it all.
struct LatticeJob {
    const int64_t* samples;
    const double* taps;  // of the blur along one axis, `tap_count` of them
    int tap_count, height, width;  // lattice points
    double alpha;
    uint64_t seed;
    uint32_t stream;
    float* out;  // [B, 2, height, width]
};

// Four normal numbers of one block of words, by Box and Muller's formula.
static void four_normals(const Words& words, double* out) {
    for (int pair = 0; pair < 2; ++pair) {
        const double a = static_cast<double>(uniform(pair ? words.c : words.a)), b = static_cast<double>(uniform(pair ? words.d : words.b));
        const double radius = std::sqrt(-2 * std::log(a)), turn = 2 * M_PI * b;
        out[2 * pair] = radius * std::sin(turn);
        out[2 * pair + 1] = radius * std::cos(turn);
    }
}

static void draw_lattice(const LatticeJob& job, int64_t b) {
    const int rows = job.height + job.tap_count - 1, columns = job.width + job.tap_count - 1;
    const int64_t sample = job.samples[b], blocks = (2 * static_cast<int64_t>(rows) * columns + 3) / 4;
    std::vector<double> white(4 * blocks), line(columns);
    for (int64_t i = 0; i < blocks; ++i) {
        const Words words = philox(static_cast<uint32_t>(i), static_cast<uint32_t>(sample), static_cast<uint32_t>(sample >> 32), job.stream,
                                   static_cast<uint32_t>(job.seed), static_cast<uint32_t>(job.seed >> 32));
        four_normals(words, white.data() + 4 * i);
    }
    for (int axis = 0; axis < 2; ++axis)
        for (int y = 0; y < job.height; ++y) {
            std::fill(line.begin(), line.end(), 0.0);
            for (int t = 0; t < job.tap_count; ++t) {
                const double* row = white.data() + (static_cast<int64_t>(axis) * rows + y + t) * columns;
                for (int x = 0; x < columns; ++x) line[x] += job.taps[t] * row[x];
            }
            float* out = job.out + ((b * 2 + axis) * job.height + y) * static_cast<int64_t>(job.width);
            for (int x = 0; x < job.width; ++x) {
                double sum = 0;
                for (int t = 0; t < job.tap_count; ++t) sum += line[x + t] * job.taps[t];
                out[x] = static_cast<float>(sum * job.alpha);
            }
        }
}

static void lattice(uintptr_t samples, int64_t batch, uintptr_t taps, int tap_count, int height, int width, double alpha, uint64_t seed,
                    uint32_t stream, uintptr_t out, int threads) {
    pybind11::gil_scoped_release released;
    const LatticeJob job{reinterpret_cast<const int64_t*>(samples), reinterpret_cast<const double*>(taps), tap_count, height, width, alpha,
                         seed, stream, reinterpret_cast<float*>(out)};
    parallel_for(batch, threads, [&](int64_t b) { draw_lattice(job, b); });
}

}  // namespace kit

void bind_lattice(pybind11::module_& m) { m.def("elastic_lattice", &kit::lattice); }
