// The TIFF reader for Python. File bytes in, numpy arrays out; the interpreter is free meanwhile.
#include "tiff.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <vector>

namespace py = pybind11;

namespace {

using namespace kit::tiff;

struct Buffers {  // a thread's own, kept between images up to a size that microscopes reach
    Scratch scratch;
    std::vector<uint16_t> counts;
    std::vector<uint64_t> histogram = std::vector<uint64_t>(65536);
    std::vector<uint8_t> level_of = std::vector<uint8_t>(65536);

    void shrink() {
        constexpr size_t most = size_t{64} << 20;
        if (scratch.bytes.capacity() > most) std::vector<uint8_t>().swap(scratch.bytes);
        if (counts.capacity() > most / 2) std::vector<uint16_t>().swap(counts);
    }
};

template <typename T>
constexpr size_t bins_of = size_t{1} << (8 * sizeof(T));

Buffers& buffers() {
    thread_local Buffers mine;
    return mine;
}

struct Described {
    Numbers numbers;
    uint64_t lags[3][3];
    int64_t hot = -1, brightest = 0;  // pixels that were replaced, -1: not looked for; the largest count before

    py::tuple tuple() const {
        const Numbers& n = numbers;
        const auto& l = lags;
        return py::make_tuple(n.black, n.white, n.least, n.most, n.sum, n.sumsq, n.sum8, n.sumsq8, n.low, n.high, n.saturated, hot,
                              brightest,
                              py::make_tuple(l[0][0], l[0][1], l[0][2], l[1][0], l[1][1], l[1][2], l[2][0], l[2][1], l[2][2]));
    }
};

// Levels and numbers of an image that has been counted.
template <typename T>
Described to_levels(const T* counts, uint32_t width, uint32_t height, int64_t black, int64_t white, uint8_t* levels) {
    Buffers& mine = buffers();
    Described result;
    result.numbers = describe(mine.histogram.data(), bins_of<T>, black, white, mine.level_of.data());
    result.brightest = result.numbers.most;
    map_levels(counts, static_cast<size_t>(width) * height, mine.level_of.data(), levels);
    lag_sums(counts, width, height, result.lags);
    return result;
}

template <typename T>
Described plain_levels(const T* counts, uint32_t width, uint32_t height, int64_t black, int64_t white, uint8_t* levels) {
    count_values(counts, static_cast<size_t>(width) * height, buffers().histogram.data());
    return to_levels(counts, width, height, black, white, levels);
}

struct Found {
    Percentiles percentiles;
    std::vector<Hot> hot;
    int64_t saturated;  // hot ones among them
};

template <typename T>
Found count_and_find(const T* counts, uint32_t width, uint32_t height) {
    const size_t pixels = static_cast<size_t>(width) * height;
    uint64_t* histogram = buffers().histogram.data();
    count_values(counts, pixels, histogram);
    const Percentiles all = percentiles(histogram, bins_of<T>, pixels);
    return {all, find_hot(counts, width, height, all), static_cast<int64_t>(histogram[bins_of<T> - 1])};
}

// Replace what was found in the image that was counted last, in its histogram too.
template <typename T>
void replace_hot(const std::vector<Hot>& hot, T* counts) {
    uint64_t* histogram = buffers().histogram.data();
    for (const Hot& pixel : hot) {
        --histogram[counts[pixel.at]];
        ++histogram[pixel.median];
        counts[pixel.at] = static_cast<T>(pixel.median);
    }
}

// Levels and numbers of that image, now sound, by its own percentiles.
template <typename T>
Described robust_levels(const Found& found, const T* counts, uint32_t width, uint32_t height, uint8_t* levels) {
    const size_t pixels = static_cast<size_t>(width) * height;
    const Percentiles now = found.hot.empty() ? found.percentiles : percentiles(buffers().histogram.data(), bins_of<T>, pixels);
    const bool flat = now.white == now.black;  // but for a pixel in a thousand: its own least and most then
    Described result = to_levels(counts, width, height, flat ? -1 : now.black, flat ? -1 : now.white, levels);
    result.hot = static_cast<int64_t>(found.hot.size());
    result.brightest = found.percentiles.most;
    result.numbers.saturated = found.saturated;
    return result;
}

Bytes bytes_of(const py::bytes& data) {
    char* text;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data.ptr(), &text, &size) != 0) throw py::error_already_set();
    return {reinterpret_cast<const uint8_t*>(text), static_cast<size_t>(size)};
}

py::array new_counts(const Header& header) {
    const std::vector<py::ssize_t> shape{header.height, header.width};
    return header.bytes_per_count == 2 ? py::array(py::dtype::of<uint16_t>(), shape) : py::array(py::dtype::of<uint8_t>(), shape);
}

py::tuple answer(const Result& result, const Header& header, py::object image, py::object numbers) {
    return py::make_tuple(static_cast<int>(result.verdict), result.reason, std::move(image), std::move(numbers), header.claimed_least,
                          header.claimed_most);
}

py::tuple tiff_counts(const py::bytes& data) {
    const Bytes file = bytes_of(data);
    Header header;
    Result result = read_header(file, header);
    if (result.verdict != Verdict::ok) return answer(result, header, py::none(), py::none());
    py::array counts = new_counts(header);
    void* to = counts.mutable_data();
    {
        py::gil_scoped_release free;
        result = read_counts(file, header, buffers().scratch, to);
        buffers().shrink();
    }
    if (result.verdict != Verdict::ok) return answer(result, header, py::none(), py::none());
    return answer(result, header, counts, py::none());
}

template <typename T>
Described levels_in_place(T* counts, const Header& header, int64_t black, int64_t white, bool robust, uint8_t* levels) {
    if (!robust) return plain_levels(counts, header.width, header.height, black, white, levels);
    const Found found = count_and_find(counts, header.width, header.height);
    replace_hot(found.hot, counts);
    return robust_levels(found, counts, header.width, header.height, levels);
}

py::tuple tiff_levels(const py::bytes& data, int64_t black, int64_t white, bool robust) {
    const Bytes file = bytes_of(data);
    Header header;
    Result result = read_header(file, header);
    if (result.verdict != Verdict::ok) return answer(result, header, py::none(), py::none());
    py::array_t<uint8_t> levels({static_cast<py::ssize_t>(header.height), static_cast<py::ssize_t>(header.width)});
    uint8_t* to = levels.mutable_data();
    Described described;
    {
        py::gil_scoped_release free;
        Buffers& mine = buffers();
        if (mine.counts.size() < header.pixels()) mine.counts.resize(header.pixels());
        result = read_counts(file, header, mine.scratch, mine.counts.data());
        if (result.verdict == Verdict::ok && header.bytes_per_count == 2)
            described = levels_in_place(mine.counts.data(), header, black, white, robust, to);
        else if (result.verdict == Verdict::ok)
            described = levels_in_place(reinterpret_cast<uint8_t*>(mine.counts.data()), header, black, white, robust, to);
        mine.shrink();
    }
    if (result.verdict != Verdict::ok) return answer(result, header, py::none(), py::none());
    return answer(result, header, levels, described.tuple());
}

template <typename T>
void check_image(const py::array_t<T, py::array::c_style>& counts) {
    if (counts.ndim() != 2 || counts.size() == 0 || counts.size() > (1 << 28)) throw std::invalid_argument("counts: need [H, W]");
}

template <typename T>
py::tuple image_levels(py::array_t<T, py::array::c_style> counts, int64_t black, int64_t white) {
    check_image(counts);
    const uint32_t height = static_cast<uint32_t>(counts.shape(0)), width = static_cast<uint32_t>(counts.shape(1));
    py::array_t<uint8_t> levels({counts.shape(0), counts.shape(1)});
    uint8_t* to = levels.mutable_data();
    const T* from = counts.data();
    Described described;
    {
        py::gil_scoped_release free;
        described = plain_levels(from, width, height, black, white, to);
    }
    return py::make_tuple(levels, described.tuple());
}

template <typename T>
py::tuple image_robust(py::array_t<T, py::array::c_style> counts) {
    check_image(counts);
    const uint32_t height = static_cast<uint32_t>(counts.shape(0)), width = static_cast<uint32_t>(counts.shape(1));
    py::array_t<uint8_t> levels({counts.shape(0), counts.shape(1)});
    uint8_t* to = levels.mutable_data();
    const T* from = counts.data();
    Found found;
    {
        py::gil_scoped_release free;
        found = count_and_find(from, width, height);
    }
    py::array_t<T, py::array::c_style> sound = counts;
    if (!found.hot.empty()) {
        sound = py::array_t<T, py::array::c_style>({counts.shape(0), counts.shape(1)}, from);  // a copy
        replace_hot(found.hot, sound.mutable_data());
        from = sound.data();
    }
    Described described;
    {
        py::gil_scoped_release free;
        described = robust_levels(found, from, width, height, to);
    }
    return py::make_tuple(levels, described.tuple(), sound);
}

template <typename T>
py::array_t<uint64_t> image_histogram(py::array_t<T, py::array::c_style> counts) {
    py::array_t<uint64_t> histogram(py::ssize_t{1} << (8 * sizeof(T)));
    uint64_t* to = histogram.mutable_data();
    const T* from = counts.data();
    const size_t pixels = static_cast<size_t>(counts.size());
    {
        py::gil_scoped_release free;
        count_values(from, pixels, to);
    }
    return histogram;
}

}  // namespace

void bind_tiff(py::module_& m) {
    m.def("tiff_counts", &tiff_counts, py::arg("data"),
          "(verdict, reason, counts [H, W] or None, None, SMin or -1, SMax or -1); verdict 0 ok, 1 unsupported, 2 damaged");
    m.def("tiff_levels", &tiff_levels, py::arg("data"), py::arg("black") = -1, py::arg("white") = -1,
          py::arg("robust") = false, "as tiff_counts, with levels uint8 [H, W] and the numbers of the image");
    m.def("image_levels", &image_levels<uint8_t>, py::arg("counts").noconvert(), py::arg("black") = -1, py::arg("white") = -1);
    m.def("image_levels", &image_levels<uint16_t>, py::arg("counts").noconvert(), py::arg("black") = -1, py::arg("white") = -1,
          "(levels uint8 [H, W], numbers)");
    m.def("image_robust", &image_robust<uint8_t>, py::arg("counts").noconvert());
    m.def("image_robust", &image_robust<uint16_t>, py::arg("counts").noconvert(),
          "(levels uint8 [H, W], numbers, the counts with hot pixels replaced: `counts` itself if there are none)");
    m.def("image_histogram", &image_histogram<uint8_t>, py::arg("counts").noconvert());
    m.def("image_histogram", &image_histogram<uint16_t>, py::arg("counts").noconvert(), "how often each count occurs, uint64");
}
