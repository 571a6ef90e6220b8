// The granular spectrum of an image: how much light each erosion takes that growing back under the image does not return.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "parallel.h"
#include "simd.h"

namespace kit {

constexpr int LENGTHS = 16;      // erosions: kernels/granularity.py has the same number
constexpr int GROUND_STEP = 4;   // the background is taken from every fourth pixel
constexpr int GROUND_RADIUS = 10;  // of the disk that opens it

using Plane = std::vector<uint8_t>;

template <bool Erode>
KIT_SIMD static void take(const uint8_t* from, int pixels, uint8_t* to) {  // the lesser of each two if Erode, else the greater
    for (int i = 0; i < pixels; ++i) to[i] = Erode ? std::min(to[i], from[i]) : std::max(to[i], from[i]);
}

// The least or most in a disk around each pixel; what lies outside the image does not count.
template <bool Erode>
static Plane filter_disk(const Plane& image, int height, int width, int radius) {
    std::vector<Plane> along{image};  // over 2 r + 1 pixels of the row
    for (int r = 1; r <= radius; ++r) {
        along.push_back(along.back());
        for (int y = 0; y < height && r < width; ++y) {
            const uint8_t* from = image.data() + static_cast<size_t>(y) * width;
            uint8_t* to = along.back().data() + static_cast<size_t>(y) * width;
            take<Erode>(from, width - r, to + r);
            take<Erode>(from + r, width - r, to);
        }
    }
    Plane out = along.back();
    for (int dy = -radius; dy <= radius; ++dy) {
        int reach = 0;
        while ((reach + 1) * (reach + 1) + dy * dy <= radius * radius) ++reach;
        const size_t away = static_cast<size_t>(std::abs(dy)) * width;
        if (away >= image.size()) continue;
        const uint8_t* from = along[reach].data();
        take<Erode>(from + (dy > 0 ? away : 0), static_cast<int>(image.size() - away), out.data() + (dy > 0 ? 0 : away));
    }
    return out;
}

// Where pixels lie among those of the ground: pixel i is parts[i] / whole of the way from at[i] to next[i].
struct Places {
    std::vector<int> at, next;
    std::vector<double> parts;
    double whole;
    Places(int length, int ground) : whole(double(GROUND_STEP) * (length - 1)) {
        for (int64_t i = 0; i < length; ++i) {
            const int64_t place = i * (length - GROUND_STEP), all = int64_t{GROUND_STEP} * (length - 1);
            at.push_back(static_cast<int>(place / all));
            next.push_back(std::min(at.back() + 1, ground - 1));
            parts.push_back(static_cast<double>(place % all));
        }
    }
};

// sum / whole is the ground between its pixels. Both are whole numbers far below 2^53, so that the quotient rounds as they would.
KIT_SIMD static void subtract_row(uint8_t* row, const double* left, const double* right, const double* parts, double across,
                                  double whole, int width) {
    for (int x = 0; x < width; ++x) {
        const double sum = left[x] * (across - parts[x]) + right[x] * parts[x];
        const int level = static_cast<int>((2 * sum + whole) / (2 * whole));
        row[x] = static_cast<uint8_t>(std::max(row[x] - level, 0));
    }
}

// Subtracts the opened image, interpolated and rounded to whole levels.
static void subtract_ground(Plane& image, int height, int width) {
    const int rows = (height + GROUND_STEP - 1) / GROUND_STEP, columns = (width + GROUND_STEP - 1) / GROUND_STEP;
    Plane ground(static_cast<size_t>(rows) * columns);
    for (int y = 0; y < rows; ++y)
        for (int x = 0; x < columns; ++x)
            ground[static_cast<size_t>(y) * columns + x] = image[static_cast<size_t>(y) * GROUND_STEP * width + x * GROUND_STEP];
    ground = filter_disk<false>(filter_disk<true>(ground, rows, columns, GROUND_RADIUS), rows, columns, GROUND_RADIUS);
    const Places down(height, rows), across(width, columns);
    std::vector<double> left(width), right(width);
    for (int y = 0; y < height; ++y) {
        const uint8_t* upper = ground.data() + static_cast<size_t>(down.at[y]) * columns;
        const uint8_t* lower = ground.data() + static_cast<size_t>(down.next[y]) * columns;
        const auto between = [&](int x) { return upper[x] * (down.whole - down.parts[y]) + lower[x] * down.parts[y]; };
        for (int x = 0; x < width; ++x) {
            left[x] = between(across.at[x]);
            right[x] = between(across.next[x]);
        }
        subtract_row(image.data() + static_cast<size_t>(y) * width, left.data(), right.data(), across.parts.data(), across.whole,
                     down.whole * across.whole, width);
    }
}

KIT_SIMD static void least_of_cross(const uint8_t* above, const uint8_t* row, const uint8_t* below, int width, uint8_t* out) {
    for (int x = 0; x < width; ++x) out[x] = std::min(row[x], std::min(above[x], below[x]));
    for (int x = 1; x < width; ++x) out[x] = std::min(out[x], row[x - 1]);
    for (int x = 0; x + 1 < width; ++x) out[x] = std::min(out[x], row[x + 1]);
}

static void erode_cross(const Plane& image, int height, int width, Plane& out) {
    out.resize(image.size());
    for (int y = 0; y < height; ++y) {
        const auto row = [&](int at) { return image.data() + static_cast<size_t>(std::clamp(at, 0, height - 1)) * width; };
        least_of_cross(row(y - 1), row(y), row(y + 1), width, out.data() + static_cast<size_t>(y) * width);
    }
}

// to[LENGTHS p + i] = pixel p of plane i.
KIT_SIMD static void interleave(const Plane* planes, size_t pixels, uint8_t* to) {
    const uint8_t* from[LENGTHS];
    for (int i = 0; i < LENGTHS; ++i) from[i] = planes[i].data();
    for (size_t p = 0; p < pixels; ++p)
        for (int i = 0; i < LENGTHS; ++i) to[p * LENGTHS + i] = from[i][p];
}

// Erosion i, grown back under the image, keeps the part of a bright region that lies above the level t of its surroundings if
// somewhere in the region the eroded image still reaches t. So each bright region is visited once, from the brightest down, for
// all erosions together: a tree of regions (max-tree), joined by union-find, the smaller to the larger.
class Regions {  // of one image after the other, in the same memory
   public:
    // Adds the light of the image to sums[0], and that of what erosion i leaves to sums[i].
    void add_sums(const Plane& image, int height, int width, int64_t* sums) {
        const int pixels = static_cast<int>(image.size());
        for (int i = 0; i < LENGTHS; ++i) erode_cross(i ? planes_[i - 1] : image, height, width, planes_[i]);
        eroded_.resize(image.size() * LENGTHS);
        interleave(planes_, image.size(), eroded_.data());
        least_ = image;
        area_.assign(pixels, 1);
        root_.assign(pixels, -1);
        sort(image);
        for (const int p : order_) {
            const uint8_t level = image[p];
            sums[0] += level;
            root_[p] = p;
            const int x = p % width;
            int region = p;
            if (p >= width) region = join(region, p - width, level, sums);
            if (x > 0) region = join(region, p - 1, level, sums);
            if (x + 1 < width) region = join(region, p + 1, level, sums);
            if (p + width < pixels) region = join(region, p + width, level, sums);
        }
        for (int p = 0; p < pixels; ++p)
            if (root_[p] == p) close(p, 0, sums);
    }

   private:
    void sort(const Plane& image) {  // brightest first, without pixels of level 0, which hold no light
        std::vector<int> count(257, 0);
        for (const uint8_t level : image) ++count[255 - level + 1];
        std::partial_sum(count.begin(), count.end(), count.begin());
        order_.resize(count[255]);
        for (size_t p = 0; p < image.size(); ++p)
            if (image[p]) order_[count[255 - image[p]]++] = static_cast<int>(p);
    }

    int find(int p) {
        while (root_[p] != p) p = root_[p] = root_[root_[p]];
        return p;
    }

    // Joins the region of a neighbour, if its turn has come, with a region of `level`, and returns the root of both.
    int join(int region, int neighbour, uint8_t level, int64_t* sums) {
        if (root_[neighbour] < 0) return region;
        int other = find(neighbour);
        if (other == region) return region;
        close(other, level, sums);
        if (area_[region] < area_[other]) std::swap(region, other);
        root_[other] = region;
        area_[region] += area_[other];
        least_[region] = level;
        uint8_t* to = eroded_.data() + static_cast<size_t>(region) * LENGTHS;
        const uint8_t* from = eroded_.data() + static_cast<size_t>(other) * LENGTHS;
        for (int i = 0; i < LENGTHS; ++i) to[i] = std::max(to[i], from[i]);
        return region;
    }

    void close(int region, int around, int64_t* sums) const {
        const int64_t light = int64_t{area_[region]} * (least_[region] - around);
        if (light == 0) return;
        const uint8_t* eroded = eroded_.data() + static_cast<size_t>(region) * LENGTHS;
        for (int i = 0; i < LENGTHS && eroded[i] >= least_[region]; ++i) sums[i + 1] += light;
    }

    Plane planes_[LENGTHS];  // the image after each erosion
    Plane eroded_;           // [pixels, LENGTHS]: of a region's root, the most that each erosion leaves anywhere in the region
    Plane least_;            // of a region's root: the level of its darkest pixel so far
    std::vector<int> area_, root_, order_;
};

static Plane every_step(const uint8_t* pixels, int width, int step, int rows, int columns) {
    Plane image(static_cast<size_t>(rows) * columns);
    for (int y = 0; y < rows; ++y)
        for (int x = 0; x < columns; ++x)
            image[static_cast<size_t>(y) * columns + x] = pixels[static_cast<size_t>(y) * step * width + static_cast<size_t>(x) * step];
    return image;
}

static void granularity(uintptr_t pixels, int64_t count, int height, int width, int step, uintptr_t out, int threads) {
    pybind11::gil_scoped_release released;
    const auto* images = reinterpret_cast<const uint8_t*>(pixels);
    auto* sums = reinterpret_cast<int64_t*>(out);
    const int rows = height / step, columns = width / step;
    const int64_t shares = std::clamp<int64_t>(threads, 1, std::max<int64_t>(count, 1));
    parallel_for(shares, threads, [&](int64_t share) {
        Regions regions;
        for (int64_t i = share; i < count; i += shares) {
            Plane image = every_step(images + i * height * width, width, step, rows, columns);
            subtract_ground(image, rows, columns);
            regions.add_sums(image, rows, columns, sums + i * (LENGTHS + 1));
        }
    });
}

}  // namespace kit

void bind_granularity(pybind11::module_& m) { m.def("granularity", &kit::granularity); }
