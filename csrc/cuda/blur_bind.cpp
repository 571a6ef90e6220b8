// Binds the blur's launcher. Addresses come from tensors that kit.kernels.blur has checked.
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "blur_pixel.h"

extern "C" int kit_blur(const kit::BlurArgs* args, void* stream);
extern "C" const char* kit_error_text(int code);  // device.cu

namespace {

kit::BlurArgs arguments(uintptr_t x, uintptr_t taps, uintptr_t solarise, int64_t batch, int channels, int height, int width,
                        uintptr_t between, uintptr_t out) {
    return {reinterpret_cast<const float*>(x),    reinterpret_cast<float*>(between),
            reinterpret_cast<float*>(out),        reinterpret_cast<const float*>(taps),
            reinterpret_cast<const int32_t*>(solarise), batch, channels, height, width};
}

void blur(uintptr_t x, uintptr_t taps, uintptr_t solarise, int64_t batch, int channels, int height, int width, uintptr_t between,
          uintptr_t out, uintptr_t stream) {
    const kit::BlurArgs args = arguments(x, taps, solarise, batch, channels, height, width, between, out);
    const int code = kit_blur(&args, reinterpret_cast<void*>(stream));
    if (code) throw std::runtime_error(std::string("blur: CUDA says: ") + kit_error_text(code));
}

// The kernel's body on this machine's processor: how it is tested where there is no GPU.
void blur_on_host(uintptr_t x, uintptr_t taps, uintptr_t solarise, int64_t batch, int channels, int height, int width,
                  uintptr_t between, uintptr_t out) {
    const kit::BlurArgs args = arguments(x, taps, solarise, batch, channels, height, width, between, out);
    const int64_t planes = batch * channels;
    for (int64_t plane = 0; plane < planes; ++plane) {
        for (int p = 0; p < height * width; ++p) kit::blur_pixel<true>(args, plane, p);
        for (int p = 0; p < height * width; ++p) kit::blur_pixel<false>(args, plane, p);
    }
}

}  // namespace

void bind_blur(pybind11::module_& m) {
    m.def("blur", &blur);
    m.def("blur_on_host", &blur_on_host);
}
