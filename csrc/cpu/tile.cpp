#include <pybind11/pybind11.h>

void bind_tile(pybind11::module_&) {}
