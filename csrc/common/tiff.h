// A reader for the TIFFs that microscopes write: one page of 8 or 16 bit counts, LZW or uncompressed, in strips.
// What it does not know it leaves to others (unsupported); what is certainly broken it calls damaged. It never reads outside
// the file's bytes and never allocates more than the file can fill.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kit::tiff {

struct Bytes {
    const uint8_t* data;
    size_t size;
};

enum class Verdict { ok, unsupported, damaged };

struct Result {
    Verdict verdict = Verdict::ok;
    const char* reason = "";
};

struct Strip {
    uint64_t offset, count;  // bytes of the file
};

struct Header {
    bool big_endian = false;
    uint32_t width = 0, height = 0;
    uint32_t rows_per_strip = 0;
    int bytes_per_count = 0;  // 1 or 2
    bool lzw = false;
    bool differences = false;  // predictor 2: every count but a row's first is the difference to its left neighbour
    int64_t claimed_least = -1, claimed_most = -1;  // SMinSampleValue, SMaxSampleValue; -1: not there
    std::vector<Strip> strips;

    size_t pixels() const { return static_cast<size_t>(width) * height; }
};

// Read the first page's header and hold it against the size of the file.
Result read_header(Bytes file, Header& header);

// Memory that a thread keeps between images.
struct Scratch {
    std::vector<uint8_t> bytes;
};

// Decode the page into `counts`: header.pixels() of uint8_t or uint16_t, in the machine's byte order.
Result read_counts(Bytes file, const Header& header, Scratch& scratch, void* counts);

// Decode one LZW strip (TIFF 6.0 section 13) into out[0, size). `out` needs room for kBefore bytes before and kBehind after.
constexpr size_t kBefore = 256, kBehind = 16;
Result decode_lzw(Bytes strip, uint8_t* out, size_t size);

// How often each count occurs: histogram[256 or 65536] is overwritten. Called with T = uint8_t or uint16_t.
template <typename T>
void count_values(const T* counts, size_t pixels, uint64_t* histogram);

// What a histogram says of its image. Levels are the 0 to 255 that counts become:
// floor((count - black) * 255 / (white - black)) of the count clipped to black..white, and 0 where white <= black.
struct Numbers {
    int64_t black, white;  // the counts that become 0 and 255
    int64_t least, most;
    int64_t sum, sumsq;    // of the counts
    int64_t sum8, sumsq8;  // of the levels
    int64_t low, high;     // counts at percentiles 0.5 and 99.5
    int64_t saturated;     // pixels in the last bin
};

// black and white below 0: the image's own least and most count. level_of[bins] is overwritten.
Numbers describe(const uint64_t* histogram, size_t bins, int64_t black, int64_t white, uint8_t* level_of);

// Counts by rank, of an image of at least one pixel: the smallest count that at least this share of the pixels does not exceed.
struct Percentiles {
    int64_t least, most;
    int64_t low, high;     // percentiles 0.5 and 99.5
    int64_t black, white;  // percentiles 0.1 and 99.9
};

Percentiles percentiles(const uint64_t* histogram, size_t bins, size_t pixels);

struct Hot {
    size_t at;        // pixel
    uint16_t median;  // of its neighbours; the lower of the middle two
};

// The hot pixels, first to last: among the brightest (above percentile 99.5), above the brightest of the up to eight neighbours by
// more than percentile 99.5 is above 0.5, and sharper than a lens draws: above the neighbours' median by more than kSharp times
// what the brightest neighbour is. No two touch. Called with T = uint8_t or uint16_t.
constexpr int64_t kSharp = 8;
template <typename T>
std::vector<Hot> find_hot(const T* counts, uint32_t width, uint32_t height, const Percentiles& percentiles);

// levels[i] = level_of[counts[i]].
template <typename T>
void map_levels(const T* counts, size_t pixels, const uint8_t* level_of, uint8_t* levels);

// Sums of products of counts 0, 1 and 2 pixels apart along every fourth row, with the sums of both factors:
// what autocovariances need. sums[lag] = {products, left factors, right factors}.
constexpr uint32_t kLagRows = 4;
template <typename T>
void lag_sums(const T* counts, uint32_t width, uint32_t height, uint64_t sums[3][3]);

}  // namespace kit::tiff
