// kit.kernels._cpu: every op file of this folder declares itself here, one line each.
#include <pybind11/pybind11.h>

#include "interface.h"

void bind_tiff(pybind11::module_&);
void bind_tile(pybind11::module_&);
void bind_view(pybind11::module_&);
void bind_lattice(pybind11::module_&);
void bind_bands(pybind11::module_&);
void bind_csv(pybind11::module_&);
void bind_high_pass(pybind11::module_&);
void bind_granularity(pybind11::module_&);
void bind_haar(pybind11::module_&);

PYBIND11_MODULE(_cpu, m) {
    m.doc() = "C++ twins of kit.kernels' ops";
    m.attr("interface") = kit::INTERFACE;
    bind_tiff(m);
    bind_tile(m);
    bind_view(m);
    bind_lattice(m);
    bind_bands(m);
    bind_csv(m);
    bind_high_pass(m);
    bind_granularity(m);
    bind_haar(m);
}
