// libFuzzer target for the TIFF reader: any bytes in; a crash, an over-read, a hang or a huge allocation is a finding.
// csrc/fuzz/run.sh builds and runs it.
#include <cstdlib>
#include <vector>

#include "tiff.h"

using namespace kit::tiff;

namespace {

constexpr size_t kMostPixels = size_t{1} << 15;  // beyond this the reader is only slow, not different

template <typename T>
void describe_image(const T* counts, const Header& header) {
    std::vector<uint64_t> histogram(size_t{1} << (8 * sizeof(T)));
    std::vector<uint8_t> level_of(histogram.size()), levels(header.pixels());
    count_values(counts, header.pixels(), histogram.data());
    const Numbers n = describe(histogram.data(), histogram.size(), -1, -1, level_of.data());
    map_levels(counts, header.pixels(), level_of.data(), levels.data());
    const Percentiles p = percentiles(histogram.data(), histogram.size(), header.pixels());
    if (p.least != n.least || p.most != n.most || p.low != n.low || p.high != n.high || p.black > p.low || p.white < p.high) std::abort();
    for (const Hot& hot : find_hot(counts, header.width, header.height, p))
        if (hot.at >= header.pixels() || hot.median >= counts[hot.at]) std::abort();
    uint64_t lags[3][3];
    lag_sums(counts, header.width, header.height, lags);
    if (n.least > n.low || n.low > n.high || n.high > n.most) std::abort();
    if (n.white > n.black && (level_of[n.black] != 0 || level_of[n.white] != 255)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    // An exact copy on the heap, so that reading one byte too far is seen.
    const std::vector<uint8_t> copy(data, data + size);
    const Bytes file{copy.data(), copy.size()};
    Header header;
    if (read_header(file, header).verdict != Verdict::ok || header.pixels() > kMostPixels) return 0;
    if (header.pixels() * header.bytes_per_count > size * 2560 + 2560) std::abort();  // more than the file can fill
    Scratch scratch;
    if (header.bytes_per_count == 2) {
        std::vector<uint16_t> counts(header.pixels());
        const bool ok = read_counts(file, header, scratch, counts.data()).verdict == Verdict::ok;
        // Walking 65536 bins takes longer than decoding a small file: one image in 64 is enough.
        if (ok && size % 64 == 0) describe_image(counts.data(), header);
    } else {
        std::vector<uint8_t> counts(header.pixels());
        if (read_counts(file, header, scratch, counts.data()).verdict == Verdict::ok) describe_image(counts.data(), header);
    }
    return 0;
}
