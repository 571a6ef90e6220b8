// The tile op on the CPU: crops resampled in two passes of 16-bit multiply-adds, a thread per crop.
#include <pybind11/pybind11.h>

#include <stdexcept>

#include "parallel.h"
#include "tile_passes.h"

namespace kit {
namespace {

enum Level { kPlain = 0, kAvx2 = 1, kAvx512 = 2 };

Level best_level() {
#ifdef KIT_X86
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return kAvx512;
    if (__builtin_cpu_supports("avx2")) return kAvx2;
#endif
    return kPlain;
}

struct Sites {
    const uint8_t* pixels;
    int64_t channels, height, width;
};

void vertical(Level level, const uint8_t* source, int64_t pitch, const int16_t* weights, int count, int width,
              std::vector<int16_t>& row) {
#ifdef KIT_X86
    constexpr int kMostPairs = 16;
    RowPairs pairs[kMostPairs];
    if (level != kPlain && width >= 16 && count <= 2 * kMostPairs) {
        const int n = pair_rows(source, pitch, weights, count, pairs);
        if (level == kAvx512 && width >= 32) {
            const auto pass = n == 1 ? vertical_avx512<1> : n == 2 ? vertical_avx512<2> : n == 3 ? vertical_avx512<3> : vertical_avx512<0>;
            return pass(pairs, n, width, row.data());
        }
        const auto pass = n == 1 ? vertical_avx2<1> : n == 2 ? vertical_avx2<2> : n == 3 ? vertical_avx2<3> : vertical_avx2<0>;
        return pass(pairs, n, width, row.data());
    }
#endif
    vertical_plain(source, pitch, weights, count, width, row.data());
}

int64_t horizontal(Level level, const std::vector<int16_t>& row, const Filter& filter, const std::vector<Window>& windows, int side,
                   uint8_t* out) {
#ifdef KIT_X86
    const int n = filter.pairs;
    if (level == kAvx512 && !windows.empty()) {
        const auto pass = n == 1 ? horizontal_avx512<1> : n == 2 ? horizontal_avx512<2> : n == 3 ? horizontal_avx512<3> : horizontal_avx512<0>;
        return pass(row.data(), windows, n, side, out);
    }
    if (level != kPlain) return horizontal_avx2(row.data(), filter, side, out);
#endif
    return horizontal_plain(row.data(), filter, 0, side, out);
}

void tile_crop(const Sites& sites, const Crop& crop, int side, Level level, uint8_t* out, int64_t* sums) {
    const Pose pose = pose_of(crop.flip, crop.turn);
    const Filter down(side, crop.height, pose.reverse_y), along(side, crop.width, pose.reverse_x);
    const std::vector<Window> windows = level == kAvx512 ? windows_of(along, side) : std::vector<Window>{};
    std::vector<int16_t> row(crop.width + std::max(along.stride, kReadable), 0);
    std::vector<uint8_t> upright(pose.transpose ? static_cast<size_t>(side) * side : 0);
    for (int64_t channel = 0; channel < sites.channels; ++channel) {
        const int64_t plane = crop.site * sites.channels + channel;
        const uint8_t* corner = sites.pixels + (plane * sites.height + crop.y) * sites.width + crop.x;
        uint8_t* target = out + channel * side * side;
        uint8_t* lines = pose.transpose ? upright.data() : target;
        sums[channel] = 0;
        for (int i = 0; i < side; ++i) {
            const uint8_t* source = corner + static_cast<int64_t>(down.first[i]) * sites.width;
            vertical(level, source, sites.width, down.of(i), down.count[i], crop.width, row);
            sums[channel] += horizontal(level, row, along, windows, side, lines + static_cast<int64_t>(i) * side);
        }
        if (pose.transpose) transpose(lines, side, target);
    }
}

// Addresses come from contiguous tensors whose sizes and values kit.kernels.tile has checked.
void tile(uintptr_t sites, int64_t channels, int64_t height, int64_t width, uintptr_t crops, int64_t count, int side,
          uintptr_t out, uintptr_t sums, int threads, int level) {
    if (threads < 1) throw std::invalid_argument("tile: threads must be at least 1");
    const Sites source{reinterpret_cast<const uint8_t*>(sites), channels, height, width};
    const auto* table = reinterpret_cast<const Crop*>(crops);
    auto* pixels = reinterpret_cast<uint8_t*>(out);
    auto* totals = reinterpret_cast<int64_t*>(sums);
    const auto chosen = static_cast<Level>(std::min(level, static_cast<int>(best_level())));
    pybind11::gil_scoped_release release;
    parallel_for(count, threads, [&](int64_t b) {
        tile_crop(source, table[b], side, chosen, pixels + b * channels * side * side, totals + b * channels);
    });
}

}  // namespace
}  // namespace kit

void bind_tile(pybind11::module_& m) {
    namespace py = pybind11;
    m.def("tile", &kit::tile, py::arg("sites"), py::arg("channels"), py::arg("height"), py::arg("width"), py::arg("crops"),
          py::arg("count"), py::arg("side"), py::arg("out"), py::arg("sums"), py::arg("threads"), py::arg("level") = static_cast<int>(kit::kAvx512),
          "level: 0 plain C++, 1 AVX2, 2 AVX-512; what this machine lacks is not used");
}
