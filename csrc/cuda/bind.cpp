// kit.kernels._cuda: launchers take raw device addresses and a stream; no torch header is needed.
#include <cuda_runtime_api.h>
#include <pybind11/pybind11.h>

#include "interface.h"

extern "C" int kit_probe_code();  // device.cu

void bind_blur(pybind11::module_&);
void bind_tile(pybind11::module_&);
void bind_view(pybind11::module_&);

// -> (number of devices, CUDA error code, its text); code 0: ready. 35: driver too old, 100: no device, 209: no code for this GPU.
static pybind11::tuple device_report() {
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count > 0) error = static_cast<cudaError_t>(kit_probe_code());
    return pybind11::make_tuple(count, static_cast<int>(error), cudaGetErrorString(error));
}

static pybind11::tuple versions() {
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    return pybind11::make_tuple(driver, runtime);
}

PYBIND11_MODULE(_cuda, m) {
    m.doc() = "CUDA twins of kit.kernels' ops";
    m.attr("interface") = kit::INTERFACE;
    m.def("device_report", &device_report, "number of devices, CUDA error code, its text, for the current device");
    m.def("versions", &versions, "CUDA version of the driver (0: none) and of the runtime linked in, as 1000 major + 10 minor");
    bind_blur(m);
    bind_tile(m);
    bind_view(m);
}
