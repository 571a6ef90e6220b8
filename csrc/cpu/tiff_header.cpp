// The header of a TIFF or BigTIFF: tags of the first page, checked against the file's size.
#include "tiff.h"

namespace kit::tiff {
namespace {

constexpr uint64_t kMostPixels = uint64_t{1} << 28;
constexpr uint64_t kMostTags = 4096;
constexpr uint64_t kMostExpansion = 2560;  // an LZW code stands for 3839 bytes at most, and then has 12 bits

enum Tag : uint16_t {
    kWidth = 256,
    kHeight = 257,
    kBits = 258,
    kCompression = 259,
    kPhotometric = 262,
    kFillOrder = 266,
    kOffsets = 273,
    kSamples = 277,
    kRowsPerStrip = 278,
    kByteCounts = 279,
    kPredictor = 317,
    kTileWidth = 322,
    kSampleFormat = 339,
    kLeast = 340,
    kMost = 341,
};

Result unsupported(const char* reason) { return {Verdict::unsupported, reason}; }
Result damaged(const char* reason) { return {Verdict::damaged, reason}; }

class Reader {
public:
    Reader(Bytes file, bool big_endian) : file_(file), big_endian_(big_endian) {}

    bool has(uint64_t offset, uint64_t count) const { return offset <= file_.size && count <= file_.size - offset; }

    // An unsigned number of 1, 2, 4 or 8 bytes; the caller has checked that it lies inside.
    uint64_t number(uint64_t offset, int bytes) const {
        uint64_t value = 0;
        for (int i = 0; i < bytes; ++i) {
            const int at = big_endian_ ? i : bytes - 1 - i;
            value = value << 8 | file_.data[offset + at];
        }
        return value;
    }

private:
    Bytes file_;
    bool big_endian_;
};

struct Entry {
    int type_bytes = 0;  // 0: not there
    uint64_t count = 0, offset = 0;  // of the values, which may lie in the entry itself
};

// Sizes of BYTE, SHORT, LONG and LONG8; other types hold nothing that is needed here.
int type_bytes(uint64_t type) { return type == 1 ? 1 : type == 3 ? 2 : type == 4 ? 4 : type == 16 ? 8 : 0; }

struct Page {
    Entry width, height, bits, compression, photometric, fill_order, offsets, samples, rows, byte_counts, predictor, tile, format;
    Entry least, most;

    Entry* of(uint64_t tag) {
        switch (tag) {
            case kWidth: return &width;
            case kHeight: return &height;
            case kBits: return &bits;
            case kCompression: return &compression;
            case kPhotometric: return &photometric;
            case kFillOrder: return &fill_order;
            case kOffsets: return &offsets;
            case kSamples: return &samples;
            case kRowsPerStrip: return &rows;
            case kByteCounts: return &byte_counts;
            case kPredictor: return &predictor;
            case kTileWidth: return &tile;
            case kSampleFormat: return &format;
            case kLeast: return &least;
            case kMost: return &most;
            default: return nullptr;
        }
    }
};

Result read_page(const Reader& in, bool big_tiff, Page& page) {
    const int word = big_tiff ? 8 : 4, entry_bytes = big_tiff ? 20 : 12, count_bytes = big_tiff ? 8 : 2;
    const uint64_t first = big_tiff ? 8 : 4;
    if (!in.has(first, word)) return unsupported("no header");
    const uint64_t page_at = in.number(first, word);
    if (!in.has(page_at, count_bytes)) return damaged("cut short: the first page lies beyond the end");
    const uint64_t tags = in.number(page_at, count_bytes);
    if (tags > kMostTags) return unsupported("thousands of tags");
    if (!in.has(page_at + count_bytes, tags * entry_bytes)) return damaged("cut short: tags lie beyond the end");
    for (uint64_t i = 0; i < tags; ++i) {
        const uint64_t at = page_at + count_bytes + i * entry_bytes;
        Entry* entry = page.of(in.number(at, 2));
        if (!entry) continue;
        const int bytes = type_bytes(in.number(at + 2, 2));
        if (!bytes) return unsupported("a tag of unusual type");
        if (entry->type_bytes) return unsupported("a tag twice");
        const uint64_t count = in.number(at + 4, word);
        const bool list = entry == &page.offsets || entry == &page.byte_counts;
        if (count == 0 || count > (list ? kMostPixels : 1)) return unsupported("a tag with an unusual number of values");
        const bool inside = count * bytes <= static_cast<uint64_t>(word);
        const uint64_t offset = inside ? at + 4 + word : in.number(at + 4 + word, word);
        if (!in.has(offset, count * bytes)) return damaged("cut short: a tag's values lie beyond the end");
        *entry = {bytes, count, offset};
    }
    return {};
}

uint64_t value_of(const Reader& in, const Entry& entry, uint64_t absent) {
    return entry.type_bytes ? in.number(entry.offset, entry.type_bytes) : absent;
}

int64_t claim_of(const Reader& in, const Entry& entry) {
    return entry.type_bytes && entry.type_bytes <= 4 ? static_cast<int64_t>(in.number(entry.offset, entry.type_bytes)) : -1;
}

Result check_kind(const Reader& in, const Page& page, Header& header) {
    const auto value = [&](const Entry& entry, uint64_t absent) { return value_of(in, entry, absent); };
    if (page.tile.type_bytes) return unsupported("tiles");
    if (value(page.samples, 1) != 1) return unsupported("several samples per pixel");
    const uint64_t bits = value(page.bits, 1), compression = value(page.compression, 1), predictor = value(page.predictor, 1);
    if (bits != 8 && bits != 16) return unsupported("neither 8 nor 16 bit");
    if (compression != 1 && compression != 5) return unsupported("neither LZW nor uncompressed");
    if (predictor != 1 && !(predictor == 2 && compression == 5)) return unsupported("an unusual predictor");
    if (value(page.photometric, 1) > 1) return unsupported("not greyscale");
    if (value(page.fill_order, 1) != 1) return unsupported("reversed bits");
    if (value(page.format, 1) != 1) return unsupported("not unsigned counts");
    header.bytes_per_count = static_cast<int>(bits / 8);
    header.lzw = compression == 5;
    header.differences = predictor == 2;
    header.claimed_least = claim_of(in, page.least);
    header.claimed_most = claim_of(in, page.most);
    return {};
}

Result check_strips(const Reader& in, const Page& page, Header& header) {
    const uint64_t width = value_of(in, page.width, 0), height = value_of(in, page.height, 0);
    if (width == 0 || height == 0) return unsupported("no size");
    if (width > kMostPixels || height > kMostPixels || width * height > kMostPixels) return unsupported("more than 2^28 pixels");
    const uint64_t rows = value_of(in, page.rows, height), strip_rows = rows < height ? rows : height;
    if (strip_rows == 0) return unsupported("strips without rows");
    const uint64_t strips = (height + strip_rows - 1) / strip_rows;
    if (page.offsets.count != strips || page.byte_counts.count != strips) return unsupported("an unusual number of strips");
    header.width = static_cast<uint32_t>(width);
    header.height = static_cast<uint32_t>(height);
    header.rows_per_strip = static_cast<uint32_t>(strip_rows);
    header.strips.resize(strips);
    uint64_t total = 0;
    for (uint64_t i = 0; i < strips; ++i) {
        const Entry &at = page.offsets, &of = page.byte_counts;
        const uint64_t offset = in.number(at.offset + i * at.type_bytes, at.type_bytes);
        const uint64_t count = in.number(of.offset + i * of.type_bytes, of.type_bytes);
        if (count == 0 || !in.has(offset, count)) return damaged("cut short: pixel data reach beyond the end");
        const uint64_t rows_here = i + 1 < strips ? strip_rows : height - i * strip_rows;
        const uint64_t needed = rows_here * width * header.bytes_per_count;
        if (!header.lzw && count < needed) return damaged("a strip holds fewer bytes than its rows need");
        if (header.lzw && needed / kMostExpansion > count) return damaged("a strip is too short for its rows");
        total += count;
        header.strips[i] = {offset, count};
    }
    return {};
}

}  // namespace

Result read_header(Bytes file, Header& header) {
    if (file.size < 8) return unsupported("no header");
    const uint8_t* b = file.data;
    const bool little = b[0] == 'I' && b[1] == 'I', big = b[0] == 'M' && b[1] == 'M';
    if (!little && !big) return unsupported("not a TIFF");
    header.big_endian = big;
    const Reader in(file, big);
    const uint64_t version = in.number(2, 2);
    if (version != 42 && version != 43) return unsupported("not a TIFF");
    const bool big_tiff = version == 43;
    if (big_tiff && (file.size < 16 || in.number(4, 2) != 8)) return unsupported("not a BigTIFF");
    Page page;
    for (const Result& result : {read_page(in, big_tiff, page), check_kind(in, page, header)})
        if (result.verdict != Verdict::ok) return result;
    if (!page.offsets.type_bytes || !page.byte_counts.type_bytes) return unsupported("no strips");
    return check_strips(in, page, header);
}

}  // namespace kit::tiff
