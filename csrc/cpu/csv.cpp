// Rows of a wide CSV: a text field, then float32 numbers in their shortest form. Written and read without a column's copy.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "parallel.h"

#if defined(__cpp_lib_to_chars) && __cpp_lib_to_chars >= 201611L  // older C++ libraries lack floats: kit then uses polars

namespace kit {

constexpr int WIDEST = 24;  // characters of a number and its comma: "-0.00000123456789," is the longest

// Appends the shortest text that reads back as `value`: 12.5, 0.001, 1.5e-7, 1e+13; digits without exponent from 1e-6 to 1e13.
static char* put_float(char* out, float value) {
    if (const float size = std::abs(value); (size >= 1e-6f && size < 1e7f) || size == 0) {  // nearly all there are
        auto* end = std::to_chars(out, out + WIDEST, value, std::chars_format::fixed).ptr;
        return std::memchr(out, '.', end - out) ? end : std::copy_n(".0", 2, end);
    }
    char text[32];
    const char* end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
    const char* e = std::find<const char*>(text, end, 'e');
    int exponent = 0;
    std::from_chars(e + 2, end, exponent);
    if (e[1] == '-' || exponent > 12) {  // the exponent without its leading zero
        out = std::copy<const char*>(text, e + 2, out);
        return std::to_chars(out, out + 4, exponent).ptr;
    }
    char* whole = std::remove_copy<const char*>(text, e, out, '.');  // from 2^23 on, a float32 is a whole number
    whole = std::fill_n(whole, exponent + 1 - (whole - out - std::signbit(value)), '0');
    return std::copy_n(".0", 2, whole);
}

static char* put_row(char* out, const std::string& first, const float* values, int64_t columns) {
    out = std::copy(first.begin(), first.end(), out);
    for (int64_t column = 0; column < columns; ++column) {
        *out++ = ',';
        out = put_float(out, values[column]);
    }
    *out++ = '\n';
    return out;
}

// first: the text field of each row, quoted where it has to be. features: float32 [rows, columns], finite.
static pybind11::bytes csv_rows(const std::vector<std::string>& first, uintptr_t features, int64_t columns, int threads) {
    const auto* values = reinterpret_cast<const float*>(features);
    size_t widest = 0, size = 0;
    for (const auto& text : first) widest = std::max(widest, text.size());
    const size_t room = widest + static_cast<size_t>(columns) * WIDEST + 1;
    const std::unique_ptr<char[]> rows(new char[room * first.size()]);  // not set to zero: most of it is never touched
    std::vector<size_t> sizes(first.size());
    {
        pybind11::gil_scoped_release released;
        parallel_for(first.size(), threads, [&](int64_t row) {
            char* start = rows.get() + room * row;
            sizes[row] = put_row(start, first[row], values + row * columns, columns) - start;
        });
    }
    for (const size_t one : sizes) size += one;
    auto text = pybind11::reinterpret_steal<pybind11::bytes>(PyBytes_FromStringAndSize(nullptr, size));
    if (!text) throw pybind11::error_already_set();
    char* out = PyBytes_AS_STRING(text.ptr());
    for (size_t row = 0; row < sizes.size(); ++row) out = std::copy_n(rows.get() + room * row, sizes[row], out);
    return text;
}

// The numbers of one line after its first field; false where there are more or fewer, or one is no finite float32.
static bool read_row(const char* at, const char* end, int64_t columns, float* values) {
    for (int64_t column = 0; column < columns; ++column) {
        if (at == end || *at != ',') return false;
        const auto read = std::from_chars(at + 1, end, values[column]);
        if (read.ec != std::errc() || !std::isfinite(values[column])) return false;
        at = read.ptr;
    }
    return at == end;
}

// Reads whole lines into out, float32 [rows, columns], and returns the first field of each; None where a line is not
// "field,number,...,number" without a quote, or there are other than `rows` lines.
static pybind11::object csv_values(const pybind11::bytes& given, int64_t rows, int64_t columns, uintptr_t out, int threads) {
    char* text;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(given.ptr(), &text, &size)) throw pybind11::error_already_set();
    std::vector<const char*> starts, ends, commas;
    std::atomic<bool> good{true};
    {
        pybind11::gil_scoped_release released;
        for (const char *at = text, *end = text + size; at < end;) {
            const auto* line = static_cast<const char*>(std::memchr(at, '\n', end - at));
            const char* stop = line ? line : end;
            starts.push_back(at);
            ends.push_back(stop > at && stop[-1] == '\r' ? stop - 1 : stop);
            at = stop + 1;
        }
        good = static_cast<int64_t>(starts.size()) == rows;
        for (size_t row = 0; good && row < starts.size(); ++row) {
            const auto* comma = static_cast<const char*>(std::memchr(starts[row], ',', ends[row] - starts[row]));
            good = comma && !std::memchr(starts[row], '"', comma - starts[row]);
            commas.push_back(comma);
        }
        auto* values = reinterpret_cast<float*>(out);
        if (good)
            parallel_for(rows, threads, [&](int64_t row) {
                if (!read_row(commas[row], ends[row], columns, values + row * columns)) good = false;
            });
    }
    if (!good) return pybind11::none();
    pybind11::list first;
    for (int64_t row = 0; row < rows; ++row) first.append(pybind11::bytes(starts[row], commas[row] - starts[row]));
    return first;
}

}  // namespace kit

void bind_csv(pybind11::module_& m) {
    m.def("csv_rows", &kit::csv_rows);
    m.def("csv_values", &kit::csv_values);
}

#else
void bind_csv(pybind11::module_&) {}
#endif
