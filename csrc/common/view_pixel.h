// One pixel of the fused view, all channels: the body of the CUDA kernel. It also runs on a host, where tests call it.
#pragma once
#include "view_args.h"
#include "warp.h"

namespace kit {

template <class T>
KIT_FN T* address(uint64_t value) {
    return reinterpret_cast<T*>(static_cast<uintptr_t>(value));
}

// Displacement of pixel (y, x) along one axis; `lattice` [height, width] holds that axis' coefficients.
KIT_FN float displacement(const float* lattice, int width, float at_y, float at_x) {
    const int cell_y = static_cast<int>(at_y), cell_x = static_cast<int>(at_x);
    const Spline down = spline_weights(at_y - static_cast<float>(cell_y)), across = spline_weights(at_x - static_cast<float>(cell_x));
    const float* point = lattice + static_cast<int64_t>(cell_y) * width + cell_x;
    float sum = 0;
#ifdef __CUDACC__
#pragma unroll
#endif
    for (int j = 0; j < 4; ++j, point += width)
        sum += down.w[j] * (across.w[0] * point[0] + across.w[1] * point[1] + across.w[2] * point[2] + across.w[3] * point[3]);
    return sum;
}

// Where the pixel looks: the corner of a 2 x 2 block inside the image, and the shares of its right and its lower pixels.
struct Place {
    int corner;
    float right, below;
};

KIT_FN Place place_of(const ViewArgs& a, int64_t image, int y, int x) {
    const int kind = address<const int32_t>(a.kind)[image];
    const int32_t* affine = address<const int32_t>(a.affine) + 6 * image;
    float along = 0, aside = 0;
    if (kind == kElastic && a.lattice) {
        const int64_t points = static_cast<int64_t>(a.lattice_height) * a.lattice_width;
        const float* lattice = address<const float>(a.lattice) + 2 * image * points;
        const float at_y = static_cast<float>(y) * a.per_spacing, at_x = static_cast<float>(x) * a.per_spacing;
        along = displacement(lattice, a.lattice_width, at_y, at_x);
        aside = displacement(lattice + points, a.lattice_width, at_y, at_x);
    }
    const bool moved = kind != kAsItIs;
    const int32_t to_x = moved ? affine[0] * x + affine[1] * y + affine[2] : x << kFractionBits;
    const int32_t to_y = moved ? affine[3] * x + affine[4] * y + affine[5] : y << kFractionBits;
    const Tap across = tap_at(to_x, along, a.width), down = tap_at(to_y, aside, a.height);
    return {down.low * a.width + across.low, across.share, down.share};
}

// Writes out(index in the whole tensor, value) for every channel of one pixel. The switches are known when it is compiled.
template <class Pixel, bool warp, bool noise, bool many, class Out>
KIT_FN void view_pixel(const ViewArgs& a, int64_t image, int pixel, const Out& out) {
    const int64_t size = static_cast<int64_t>(a.height) * a.width;
    Place at{pixel, 0, 0};
    if (warp) at = place_of(a, image, pixel / a.width, pixel % a.width);
    const bool noisy = noise && address<const int32_t>(a.noisy)[image] != 0;
    const int64_t sample = noise ? address<const int64_t>(a.sample)[image] : 0;
    const uint32_t low = static_cast<uint32_t>(sample), high = static_cast<uint32_t>(sample >> 32);
    const uint32_t k0 = static_cast<uint32_t>(a.seed), k1 = static_cast<uint32_t>(a.seed >> 32);
    for (int c = 0; c < a.channels; ++c) {
        const int64_t plane = image * a.channels + c;
        const Pixel* p = address<const Pixel>(a.pixels) + plane * size + at.corner;
        float v = static_cast<float>(p[0]);
        if (warp) {
            const Pixel* q = p + a.width;
            v = bilinear(v, static_cast<float>(p[1]), static_cast<float>(q[0]), static_cast<float>(q[1]), at.right, at.below);
        }
        if (sizeof(Pixel) == 1) v *= 1 / 255.0f;
        if (a.contrast)
            v = clipped(clipped(v * address<const float>(a.scale)[plane]) * address<const float>(a.contrast)[plane] +
                        address<const float>(a.shift)[plane]);
        else if (a.scale)
            v = v * address<const float>(a.scale)[plane] + address<const float>(a.shift)[plane];
        if (noisy && a.noise[c].rate > 0)
            v = add_noise<many>(v, static_cast<uint32_t>(pixel), low, high, k0, k1, a.noise[c], address<const uint32_t>(a.fine),
                                address<const uint32_t>(a.coarse));
        if (a.normalise) v = v * a.out_scale[c] + a.out_shift[c];
        out(plane * size + pixel, v);
    }
}

// Calls run(pixel type, warp, noise, many) with the switches of `a` as types: std::bool_constant and a value of the pixel type.
template <bool value>
struct Flag {
    static constexpr bool on = value;
};

template <class Run>
auto with_switches(const ViewArgs& a, const Run& run) {
    const auto by_noise = [&](auto pixel, auto warp) {
        if (a.coarse) return run(pixel, warp, Flag<true>{}, Flag<true>{});
        return a.noisy ? run(pixel, warp, Flag<true>{}, Flag<false>{}) : run(pixel, warp, Flag<false>{}, Flag<false>{});
    };
    const auto by_warp = [&](auto pixel) { return a.kind ? by_noise(pixel, Flag<true>{}) : by_noise(pixel, Flag<false>{}); };
    return a.pixel_bytes == 1 ? by_warp(uint8_t{}) : by_warp(float{});
}

}  // namespace kit
