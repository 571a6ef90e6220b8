// ViewArgs as a Python class of both extensions.
#pragma once
#include <pybind11/pybind11.h>

#include <stdexcept>

#include "view_args.h"

namespace kit {

inline void check_channel(int channel) {
    if (channel < 0 || channel >= kChannelsMost) throw std::out_of_range("at most 64 channels");
}

inline void bind_view_args(pybind11::module_& m) {
    pybind11::class_<ViewArgs>(m, "ViewArgs", pybind11::module_local())
        .def(pybind11::init<>())
        .def_readwrite("pixels", &ViewArgs::pixels)
        .def_readwrite("out", &ViewArgs::out)
        .def_readwrite("pixel_bytes", &ViewArgs::pixel_bytes)
        .def_readwrite("out_kind", &ViewArgs::out_kind)
        .def_readwrite("batch", &ViewArgs::batch)
        .def_readwrite("channels", &ViewArgs::channels)
        .def_readwrite("height", &ViewArgs::height)
        .def_readwrite("width", &ViewArgs::width)
        .def_readwrite("kind", &ViewArgs::kind)
        .def_readwrite("affine", &ViewArgs::affine)
        .def_readwrite("lattice", &ViewArgs::lattice)
        .def_readwrite("lattice_height", &ViewArgs::lattice_height)
        .def_readwrite("lattice_width", &ViewArgs::lattice_width)
        .def_readwrite("per_spacing", &ViewArgs::per_spacing)
        .def_readwrite("scale", &ViewArgs::scale)
        .def_readwrite("shift", &ViewArgs::shift)
        .def_readwrite("contrast", &ViewArgs::contrast)
        .def_readwrite("noisy", &ViewArgs::noisy)
        .def_readwrite("sample", &ViewArgs::sample)
        .def_readwrite("fine", &ViewArgs::fine)
        .def_readwrite("coarse", &ViewArgs::coarse)
        .def_readwrite("seed", &ViewArgs::seed)
        .def_readwrite("floor", &ViewArgs::floor)
        .def_readwrite("threads", &ViewArgs::threads)
        .def("set_noise",
             [](ViewArgs& a, int c, float rate, float shot, float dark, float read, uint32_t stream, uint32_t coarse_stream) {
                 check_channel(c);
                 a.noise[c] = {rate, shot, dark, read, stream, coarse_stream};
             })
        .def("set_output", [](ViewArgs& a, int c, float scale, float shift) {
            check_channel(c);
            a.normalise = 1, a.out_scale[c] = scale, a.out_shift[c] = shift;
        });
}

}  // namespace kit
