// Binds the view's launchers. Addresses come from tensors that kit.kernels.view has checked.
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "view_bind.h"
#include "view_pixel.h"

extern "C" int kit_view(const kit::ViewArgs* args, void* stream);
extern "C" int kit_clipped_means(const void* pixels, int pixel_bytes, int64_t planes, int64_t size, const float* gain, float* out,
                                 void* stream);
extern "C" int kit_standardise(const float* x, void* out, int out_kind, int64_t planes, int64_t size, float floor, void* stream);
extern "C" const char* kit_error_text(int code);  // device.cu

namespace {

void check(int code) {
    if (code) throw std::runtime_error(std::string("view: CUDA says: ") + kit_error_text(code));
}

void view(const kit::ViewArgs& args, uintptr_t stream) { check(kit_view(&args, reinterpret_cast<void*>(stream))); }

void clipped_means(uintptr_t pixels, int pixel_bytes, int64_t planes, int64_t size, uintptr_t gain, uintptr_t out, uintptr_t stream) {
    check(kit_clipped_means(reinterpret_cast<const void*>(pixels), pixel_bytes, planes, size, reinterpret_cast<const float*>(gain),
                            reinterpret_cast<float*>(out), reinterpret_cast<void*>(stream)));
}

void standardise(uintptr_t x, uintptr_t out, int out_kind, int64_t planes, int64_t size, float floor, uintptr_t stream) {
    check(kit_standardise(reinterpret_cast<const float*>(x), reinterpret_cast<void*>(out), out_kind, planes, size, floor,
                          reinterpret_cast<void*>(stream)));
}

// The kernel's body on this machine's processor, float32 out: how it is tested where there is no GPU.
void view_on_host(const kit::ViewArgs& args) {
    kit::with_switches(args, [&](auto pixel, auto warp, auto noise, auto many) {
        for (int64_t image = 0; image < args.batch; ++image)
            for (int p = 0; p < args.height * args.width; ++p)
                kit::view_pixel<decltype(pixel), decltype(warp)::on, decltype(noise)::on, decltype(many)::on>(
                    args, image, p, [&](int64_t index, float value) { kit::address<float>(args.out)[index] = value; });
        return 0;
    });
}

}  // namespace

void bind_view(pybind11::module_& m) {
    kit::bind_view_args(m);
    m.def("view", &view);
    m.def("clipped_means", &clipped_means);
    m.def("standardise", &standardise);
    m.def("view_on_host", &view_on_host);
}
