// The inner loops of the view on the CPU, each over a block of whole rows: written so that the compiler vectorises them.
#pragma once
#include "view_args.h"

namespace kit {

// For each output pixel of a block: the corner of the 2 x 2 pixels it lies between, and the shares of the right and lower ones.
struct Places {
    int32_t* corner;
    float* right;
    float* below;
};

// Spline weights of the lattice for every column; the same for all images.
struct Columns {
    int32_t* cell;
    float* w[4];
};

void fill_columns(int width, float per_spacing, Columns columns);
void fill_row(const float* lattice, int lattice_height, int lattice_width, int y, float per_spacing, float* row);
void spread_row(const float* row, Columns columns, int width, float* out);
void place_row(int y, int height, int width, const int32_t* affine, const float* along, const float* aside, Places out);
void pack_corners(const uint8_t* plane, int height, int width, uint32_t* packed);
void gather_packed(const uint32_t* packed, Places at, int count, float scale, float shift, float* out);
void gather_floats(const float* plane, int width, Places at, int count, float scale, float shift, float* out);
void copy_bytes(const uint8_t* plane, int count, float scale, float shift, float* out);
void copy_floats(const float* plane, int count, float scale, float shift, float* out);
void noise_few(float* x, int count, uint32_t first, int64_t sample, uint64_t seed, ChannelNoise noise, const uint32_t* fine);
void noise_many(float* x, int count, uint32_t first, int64_t sample, uint64_t seed, ChannelNoise noise, const uint32_t* fine,
                const uint32_t* coarse);
void expose_plane(float* x, int64_t count, float contrast, float shift);
float clipped_mean_of_bytes(const uint8_t* plane, int64_t count, float gain);
float clipped_mean_of_floats(const float* plane, int64_t count, float gain);
void scale_plane(float* x, int64_t count, float scale, float shift);
void standardise_plane(float* x, int64_t count, float floor);
void words_of_sample(int64_t sample, int64_t count, uint64_t seed, uint32_t stream, int64_t* out);
void blur_plane(const float* in, int height, int width, const float* weights, bool solarise, float* between, float* out);

}  // namespace kit
