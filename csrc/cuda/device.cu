// Tells whether the current device can run the code in this module.
#include <cuda_runtime_api.h>

__global__ void kit_probe() {}

extern "C" int kit_probe_code() {
    cudaFuncAttributes attributes;
    return static_cast<int>(cudaFuncGetAttributes(&attributes, kit_probe));
}

extern "C" const char* kit_error_text(int code) { return cudaGetErrorString(static_cast<cudaError_t>(code)); }
