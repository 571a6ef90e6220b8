// The fused view, the blur and the random words on the CPU. Threads share out the images; the GIL is released.
#include "view_args.h"

#include <pybind11/pybind11.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "parallel.h"
#include "view_rows.h"
#include "warp.h"

namespace py = pybind11;

namespace kit {

template <class T>
T* at(uint64_t address) {
    return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

// What one thread needs to make views, for as many images as it gets.
class ViewMaker {
  public:
    explicit ViewMaker(const ViewArgs& args)
        : a_(args), plane_(static_cast<int64_t>(args.height) * args.width), rows_(std::clamp(2048 / args.width, 1, args.height)) {
        const int64_t block = static_cast<int64_t>(rows_) * a_.width;
        if (!a_.kind) return;
        if (a_.pixel_bytes == 1) packed_.resize(plane_ * a_.channels);
        corner_.resize(block), right_.resize(block), below_.resize(block), field_.resize(2 * static_cast<int64_t>(a_.width));
        if (!a_.lattice) return;
        cell_.resize(a_.width), weights_.resize(4 * static_cast<int64_t>(a_.width)), row_.resize(a_.lattice_width);
        for (int tap = 0; tap < 4; ++tap) columns_.w[tap] = weights_.data() + static_cast<int64_t>(tap) * a_.width;
        columns_.cell = cell_.data();
        fill_columns(a_.width, a_.per_spacing, columns_);
    }

    void make(int64_t image) {
        const int kind = a_.kind ? at<int32_t>(a_.kind)[image] : static_cast<int>(kAsItIs);
        if (kind != kAsItIs && a_.pixel_bytes == 1)
            for (int c = 0; c < a_.channels; ++c)
                pack_corners(at<uint8_t>(a_.pixels) + (image * a_.channels + c) * plane_, a_.height, a_.width, packed_.data() + c * plane_);
        for (int y = 0; y < a_.height; y += rows_) {
            const int rows = std::min(rows_, a_.height - y);
            for (int row = 0; row < rows && kind != kAsItIs; ++row) place(image, kind, y + row, static_cast<int64_t>(row) * a_.width);
            for (int c = 0; c < a_.channels; ++c) block(image, c, kind, static_cast<int64_t>(y) * a_.width, rows * a_.width);
        }
        if (a_.floor >= 0)
            for (int c = 0; c < a_.channels; ++c) standardise_plane(out(image, c), plane_, a_.floor);
    }

  private:
    float* out(int64_t image, int channel) const { return at<float>(a_.out) + (image * a_.channels + channel) * plane_; }

    void place(int64_t image, int kind, int y, int64_t offset) {
        for (int axis = 0; axis < 2; ++axis) {
            float* field = field_.data() + static_cast<int64_t>(axis) * a_.width;
            if (kind != kElastic || !a_.lattice) {
                std::fill_n(field, a_.width, 0.0f);
                continue;
            }
            const int64_t points = static_cast<int64_t>(a_.lattice_height) * a_.lattice_width;
            const float* lattice = at<float>(a_.lattice) + (2 * image + axis) * points;
            fill_row(lattice, a_.lattice_height, a_.lattice_width, y, a_.per_spacing, row_.data());
            spread_row(row_.data(), columns_, a_.width, field);
        }
        const Places places{corner_.data() + offset, right_.data() + offset, below_.data() + offset};
        place_row(y, a_.height, a_.width, at<int32_t>(a_.affine) + 6 * image, field_.data(), field_.data() + a_.width, places);
    }

    void block(int64_t image, int c, int kind, int64_t first, int count) {
        const int64_t plane = image * a_.channels + c;
        float* x = out(image, c) + first;
        const float scale = a_.scale ? at<float>(a_.scale)[plane] : 1;
        const float shift = a_.shift && !a_.contrast ? at<float>(a_.shift)[plane] : 0;
        const Places places{corner_.data(), right_.data(), below_.data()};
        const bool bytes = a_.pixel_bytes == 1;
        if (kind == kAsItIs && bytes)
            copy_bytes(at<uint8_t>(a_.pixels) + plane * plane_ + first, count, scale, shift, x);
        else if (kind == kAsItIs)
            copy_floats(at<float>(a_.pixels) + plane * plane_ + first, count, scale, shift, x);
        else if (bytes)
            gather_packed(packed_.data() + c * plane_, places, count, scale, shift, x);
        else
            gather_floats(at<float>(a_.pixels) + plane * plane_, a_.width, places, count, scale, shift, x);
        if (a_.contrast) expose_plane(x, count, at<float>(a_.contrast)[plane], at<float>(a_.shift)[plane]);
        add_noise_to(x, image, c, first, count);
        if (a_.normalise) scale_plane(x, count, a_.out_scale[c], a_.out_shift[c]);
    }

    void add_noise_to(float* x, int64_t image, int c, int64_t first, int count) {
        if (!a_.noisy || !at<int32_t>(a_.noisy)[image] || a_.noise[c].rate == 0) return;
        const int64_t sample = at<int64_t>(a_.sample)[image];
        const uint32_t *fine = at<uint32_t>(a_.fine), *coarse = at<uint32_t>(a_.coarse);
        if (coarse)
            noise_many(x, count, static_cast<uint32_t>(first), sample, a_.seed, a_.noise[c], fine, coarse);
        else
            noise_few(x, count, static_cast<uint32_t>(first), sample, a_.seed, a_.noise[c], fine);
    }

    const ViewArgs& a_;
    const int64_t plane_;
    const int rows_;
    std::vector<uint32_t> packed_;
    std::vector<int32_t> corner_, cell_;
    std::vector<float> right_, below_, field_, weights_, row_;
    Columns columns_{};
};

static void view(const ViewArgs& args) {
    py::gil_scoped_release released;
    std::atomic<int64_t> next{0};
    parallel_for(std::min<int64_t>(args.threads, args.batch), args.threads, [&](int64_t) {
        ViewMaker maker(args);
        for (int64_t image; (image = next++) < args.batch;) maker.make(image);
    });
}

static void clipped_means(uint64_t pixels, int pixel_bytes, int64_t planes, int64_t size, uint64_t gain, uint64_t out, int threads) {
    py::gil_scoped_release released;
    parallel_for(planes, threads, [&](int64_t p) {
        const float factor = at<float>(gain)[p];
        at<float>(out)[p] = pixel_bytes == 1 ? clipped_mean_of_bytes(at<uint8_t>(pixels) + p * size, size, factor)
                                             : clipped_mean_of_floats(at<float>(pixels) + p * size, size, factor);
    });
}

static void random_words(uint64_t sample, int64_t batch, int64_t count, uint64_t seed, uint32_t stream, uint64_t out, int threads) {
    py::gil_scoped_release released;
    parallel_for(batch, batch * count < 1 << 16 ? 1 : threads, [&](int64_t b) {
        words_of_sample(at<int64_t>(sample)[b], count, seed, stream, at<int64_t>(out) + 4 * b * count);
    });
}

static py::tuple words_of(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint64_t seed) {
    const Words words = philox(c0, c1, c2, c3, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
    return py::make_tuple(words.a, words.b, words.c, words.d);
}

static void blur(uint64_t x, uint64_t weights, uint64_t solarise, int64_t batch, int channels, int height, int width, uint64_t out,
                 int threads) {
    py::gil_scoped_release released;
    const int64_t plane = static_cast<int64_t>(height) * width;
    parallel_for(batch * channels, threads, [&](int64_t p) {
        std::vector<float> between(plane);
        const int64_t b = p / channels;
        blur_plane(at<float>(x) + p * plane, height, width, at<float>(weights) + 5 * b, at<int32_t>(solarise)[b] != 0, between.data(),
                   at<float>(out) + p * plane);
    });
}

}  // namespace kit

#include "view_bind.h"

void bind_view(py::module_& m) {
    kit::bind_view_args(m);
    m.def("view", &kit::view);
    m.def("clipped_means", &kit::clipped_means);
    m.def("random_words", &kit::random_words);
    m.def("philox", &kit::words_of);
    m.def("blur", &kit::blur);
}
