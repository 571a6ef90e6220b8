// Binds the tile op's launcher. Addresses come from tensors that kit.kernels.tile has checked.
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "tile_block.h"

extern "C" int kit_tile(const kit::TileJob* job, int64_t crops, int longest, void* stream);
extern "C" const char* kit_error_text(int code);  // device.cu

namespace {

void tile(uintptr_t sites, int64_t site_count, int64_t channels, int64_t height, int64_t width, uintptr_t crops, int64_t count,
          int side, int stride, int longest, uintptr_t taps, uintptr_t weights, uintptr_t out, uintptr_t sums, uintptr_t stream) {
    const auto* pixels = reinterpret_cast<const uint8_t*>(sites);
    const kit::TileJob job{pixels,
                           pixels + site_count * channels * height * width,
                           channels,
                           height,
                           width,
                           reinterpret_cast<const kit::Crop*>(crops),
                           side,
                           stride,
                           reinterpret_cast<kit::Taps*>(taps),
                           reinterpret_cast<int16_t*>(weights),
                           reinterpret_cast<uint8_t*>(out),
                           reinterpret_cast<unsigned long long*>(sums)};
    const int code = kit_tile(&job, count, longest, reinterpret_cast<void*>(stream));
    if (code) throw std::runtime_error(std::string("tile: CUDA says: ") + kit_error_text(code));
}

}  // namespace

void bind_tile(pybind11::module_& m) {
    namespace py = pybind11;
    m.def("tile", &tile, py::arg("sites"), py::arg("site_count"), py::arg("channels"), py::arg("height"), py::arg("width"),
          py::arg("crops"), py::arg("count"), py::arg("side"), py::arg("stride"), py::arg("longest"), py::arg("taps"),
          py::arg("weights"), py::arg("out"), py::arg("sums"), py::arg("stream"));
}
