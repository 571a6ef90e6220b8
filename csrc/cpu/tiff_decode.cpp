// Strips to counts. An LZW table entry is a slice of the output already written (start, length), so there is no string table:
// the string that a new code stands for is the previous string and the byte after it, which lie side by side.
#include <cstring>

#include "tiff.h"

namespace kit::tiff {
namespace {

constexpr uint32_t kClear = 256, kEnd = 257, kFirst = 258, kCodes = 4096;
constexpr int kLeastWidth = 9;

uint64_t load_big_endian(const uint8_t* p) {
    uint64_t value;
    std::memcpy(&value, p, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

void copy_eight(const uint8_t* from, uint8_t* to) {  // the two may overlap
    uint64_t bytes;
    std::memcpy(&bytes, from, 8);
    std::memcpy(to, &bytes, 8);
}

struct Slice {
    uint32_t start, length;  // length 0: no string (the clear and end codes)
};

enum class Stop { more, clear, full, damaged };

// One strip being decoded. `base` begins with one byte of every value, so a code below 256 is a slice like any other.
struct Decoder {
    Bytes strip;
    uint8_t* base;
    size_t at, end;  // of the output, from base
    uint64_t bit = 0;
    uint32_t next = kFirst;
    Slice previous{0, 0};
    Slice table[kCodes + 1];

    Decoder(Bytes strip, uint8_t* out, size_t size) : strip(strip), base(out - kBefore), at(kBefore), end(kBefore + size) {
        for (uint32_t i = 0; i < 256; ++i) {
            base[i] = static_cast<uint8_t>(i);
            table[i] = {i, 1};
        }
        table[kClear] = table[kEnd] = {0, 0};
    }

    uint64_t bits() const { return static_cast<uint64_t>(strip.size) * 8; }

    // The code at `bit`, byte by byte: near the end of the strip and at the start of a table.
    uint32_t slow_code(int width) const {
        uint32_t bytes = 0;
        for (uint64_t i = bit >> 3; i < (bit >> 3) + 3; ++i) bytes = bytes << 8 | (i < strip.size ? strip.data[i] : 0);
        return bytes >> (24 - (bit & 7) - width) & ((1u << width) - 1);
    }

    // Take one code after the first of a table. Roomy: there is space for any string, as the caller has seen.
    template <bool roomy>
    Stop take(uint32_t code) {
        if (next < kCodes) table[next] = {previous.start, previous.length + 1};
        if (code >= next) {
            if (code > next || code >= kCodes) return Stop::damaged;
        }
        const Slice slice = table[code];
        if (slice.length == 0) return code == kClear ? Stop::clear : Stop::damaged;
        if (!roomy && slice.length > end - at) {  // the last string may be longer than what is asked for
            for (size_t i = 0; at + i < end; ++i) base[at + i] = base[slice.start + i];
            at = end;
            return Stop::full;
        }
        // Eight bytes at a time, up to seven too many: kBehind leaves room, and what follows overwrites them.
        copy_eight(base + slice.start, base + at);
        if (slice.length > 8)
            for (size_t done = 8; done < slice.length; done += 8) copy_eight(base + slice.start + done, base + at + done);
        if (code == next) base[at + slice.length - 1] = base[at];  // its last byte is its first, written just now
        previous = {static_cast<uint32_t>(at), slice.length};
        at += slice.length;
        if (next < kCodes) ++next;
        return Stop::more;
    }

    // Take codes of one width until `next` reaches `limit`, several from each load where there is room enough.
    template <int width>
    Stop run(uint32_t limit) {
        constexpr int kPerLoad = 57 / width;
        const uint64_t last_load = strip.size >= 8 ? strip.size - 8 : 0;
        while (next + kPerLoad <= limit && strip.size >= 8 && bit >> 3 <= last_load && end - at >= kPerLoad * kCodes) {
            uint64_t word = load_big_endian(strip.data + (bit >> 3)) << (bit & 7);
            for (int i = 0; i < kPerLoad; ++i, word <<= width) {
                const Stop stop = take<true>(static_cast<uint32_t>(word >> (64 - width)));
                if (stop != Stop::more) {
                    bit += static_cast<uint64_t>(i + 1) * width;
                    return stop;
                }
            }
            bit += kPerLoad * width;
        }
        while (next < limit || limit == kCodes) {
            if (at == end) return Stop::full;
            if (bit + width > bits()) return Stop::damaged;
            const uint32_t code = slow_code(width);
            bit += width;
            const Stop stop = take<false>(code);
            if (stop != Stop::more) return stop;
        }
        return Stop::more;
    }

    // Read up to the first code of a table, which stands for itself.
    Stop start() {
        next = kFirst;
        for (;;) {
            if (at == end) return Stop::full;
            if (bit + kLeastWidth > bits()) return Stop::damaged;
            const uint32_t code = slow_code(kLeastWidth);
            bit += kLeastWidth;
            if (code == kClear) continue;
            if (code > 255) return Stop::damaged;
            previous = {static_cast<uint32_t>(at), 1};
            base[at++] = static_cast<uint8_t>(code);
            return Stop::more;
        }
    }

    // Widths change one code early: at 511, 1023 and 2047 entries ("early change").
    Stop run_table() {
        Stop stop = start();
        if (stop == Stop::more) stop = run<9>(511);
        if (stop == Stop::more) stop = run<10>(1023);
        if (stop == Stop::more) stop = run<11>(2047);
        if (stop == Stop::more) stop = run<12>(kCodes);
        return stop;
    }
};

}  // namespace

Result decode_lzw(Bytes strip, uint8_t* out, size_t size) {
    if (strip.size >= 2 && strip.data[0] == 0 && (strip.data[1] & 1)) return {Verdict::unsupported, "LZW of before TIFF 5"};
    Decoder decoder(strip, out, size);
    if (strip.size < 2 || decoder.slow_code(kLeastWidth) != kClear) return {Verdict::unsupported, "LZW that starts without a clear code"};
    Stop stop;
    do stop = decoder.run_table();
    while (stop == Stop::clear);
    return stop == Stop::full ? Result{} : Result{Verdict::damaged, "LZW data end too early or hold an impossible code"};
}

namespace {

template <typename T>
T swapped(T value) {
    return sizeof(T) == 2 ? static_cast<T>(value << 8 | value >> 8) : value;
}

template <typename T>
void finish_rows(const uint8_t* bytes, const Header& header, uint32_t rows, T* counts) {
    const size_t pixels = static_cast<size_t>(rows) * header.width;
    std::memcpy(counts, bytes, pixels * sizeof(T));
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const bool swap = header.big_endian;
#else
    const bool swap = !header.big_endian;
#endif
    if (swap && sizeof(T) == 2)
        for (size_t i = 0; i < pixels; ++i) counts[i] = swapped(counts[i]);
    if (header.differences)
        for (uint32_t y = 0; y < rows; ++y) {
            T* row = counts + static_cast<size_t>(y) * header.width;
            for (uint32_t x = 1; x < header.width; ++x) row[x] = static_cast<T>(row[x] + row[x - 1]);
        }
}

}  // namespace

Result read_counts(Bytes file, const Header& header, Scratch& scratch, void* counts) {
    for (size_t i = 0; i < header.strips.size(); ++i) {
        const uint32_t first_row = static_cast<uint32_t>(i) * header.rows_per_strip;
        const uint32_t left = header.height - first_row, rows = left < header.rows_per_strip ? left : header.rows_per_strip;
        const size_t needed = static_cast<size_t>(rows) * header.width * header.bytes_per_count;
        const Strip& strip = header.strips[i];
        const uint8_t* bytes = file.data + strip.offset;
        if (header.lzw) {
            if (scratch.bytes.size() < kBefore + needed + kBehind) scratch.bytes.resize(kBefore + needed + kBehind);
            const Result result = decode_lzw({bytes, strip.count}, scratch.bytes.data() + kBefore, needed);
            if (result.verdict != Verdict::ok) return result;
            bytes = scratch.bytes.data() + kBefore;
        }
        const size_t done = static_cast<size_t>(first_row) * header.width;
        if (header.bytes_per_count == 2)
            finish_rows(bytes, header, rows, static_cast<uint16_t*>(counts) + done);
        else
            finish_rows(bytes, header, rows, static_cast<uint8_t*>(counts) + done);
    }
    return {};
}

}  // namespace kit::tiff
