// Where an output pixel looks: affine part in fixed point (18 fractional bits), displacement from a cubic B-spline, reflection.
#pragma once
#include "portable.h"

namespace kit {

constexpr int kFractionBits = 18;
enum WarpKind { kAsItIs = 0, kAffine = 1, kElastic = 2 };

struct Spline {
    float w[4];
};

KIT_FN Spline spline_weights(float u) {
    const float v = 1 - u;
    return {{v * v * v * (1 / 6.0f), u * u * (0.5f * u - 1) + 2 / 3.0f, v * v * (0.5f * v - 1) + 2 / 3.0f, u * u * u * (1 / 6.0f)}};
}

KIT_FN int floor_int(float value) {
    const int whole = static_cast<int>(value);
    return whole - (value < static_cast<float>(whole) ? 1 : 0);
}

KIT_FN int size_of(int value) { return value < 0 ? -value : value; }

// -1 -> 1, side -> side - 2: right up to four sides outside, clamped beyond, so that no index ever leaves the image.
KIT_FN int reflect(int index, int side) {
    const int last = side - 1;
    const int past = last - size_of(index), once = last - size_of(past);
    const int again = last - size_of(once), twice = last - size_of(again);
    return twice < 0 ? 0 : twice > last ? last : twice;
}

// The two pixels of one axis between which a coordinate lies: `low` and `low + 1`, both inside, and the share of the latter.
struct Tap {
    int low;
    float share;
};

KIT_FN Tap tap_at(int32_t fixed, float shift, int side) {
    const float part = static_cast<float>(fixed & ((1 << kFractionBits) - 1)) * (1.0f / (1 << kFractionBits)) + shift;
    const int steps = floor_int(part), first = (fixed >> kFractionBits) + steps;
    const float fraction = part - static_cast<float>(steps);
    const int here = reflect(first, side), next = reflect(first + 1, side);
    const int least = here < next ? here : next, low = least < side - 2 ? least : side - 2;
    return {low, (here > low ? 1 - fraction : 0.0f) + (next > low ? fraction : 0.0f)};
}

KIT_FN float bilinear(float p00, float p01, float p10, float p11, float right, float below) {
    const float upper = p00 + (p01 - p00) * right, lower = p10 + (p11 - p10) * right;
    return upper + (lower - upper) * below;
}

}  // namespace kit
