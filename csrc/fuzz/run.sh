#!/usr/bin/env bash
# Fuzz the TIFF reader with clang's libFuzzer, address and undefined sanitizers:  csrc/fuzz/run.sh [EXECUTIONS]
# Needs clang with its sanitizer runtime (Debian: apt-get install clang-14 libclang-rt-14-dev) and the project's .venv.
# Seeds come from csrc/fuzz/seeds.py and the committed corpus; what covers new code is minimised back into that archive.
set -euo pipefail
cd "$(dirname "$0")/../.."
runs=${1:-20000000}
# The time limit is of the wall clock: at low priority on a busy machine a short one finds nothing but the other processes.
clang=${CLANGXX:-$(command -v clang++ || command -v clang++-14)}
build=build/fuzz
archive=tests/images/source/tiff_corpus.tar.xz
rm -rf "$build/committed" "$build/minimised"
mkdir -p "$build/seeds" "$build/corpus" "$build/findings" "$build/committed" "$build/minimised"
tar -xJf "$archive" -C "$build/committed"
flags=(-std=c++17 -O2 -g1 -fno-sanitize-recover=all -Icsrc/common)
# The histogram takes no branch on what the bytes mean: sanitizers, but no coverage, which would cost more than the decoding.
for part in levels hot; do "$clang" "${flags[@]}" -fsanitize=address,undefined -c "csrc/cpu/tiff_$part.cpp" -o "$build/tiff_$part.o"; done
"$clang" "${flags[@]}" -fsanitize=fuzzer,address,undefined csrc/fuzz/tiff_fuzz.cpp csrc/cpu/tiff_header.cpp csrc/cpu/tiff_decode.cpp \
    "$build/tiff_levels.o" "$build/tiff_hot.o" -o "$build/tiff_fuzz"
.venv/bin/python csrc/fuzz/seeds.py "$build/seeds"
"$build/tiff_fuzz" -runs="$runs" -max_len=65536 -timeout=60 -rss_limit_mb=2048 -malloc_limit_mb=512 -detect_leaks=0 -print_final_stats=1 \
    -dict=csrc/fuzz/tiff.dict -artifact_prefix="$build/findings/" "$build/corpus" "$build/seeds" "$build/committed" \
    2> "$build/log.txt" || { tail -40 "$build/log.txt"; exit 1; }
"$build/tiff_fuzz" -merge=1 -max_len=1024 "$build/minimised" "$build/corpus" "$build/seeds" "$build/committed" 2>> "$build/log.txt"
# The same files give the same archive, whoever packs them and when.
tar --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=@0 -C "$build/minimised" -cf - . | xz -9 > "$build/corpus.tar.xz"
mv "$build/corpus.tar.xz" "$archive"
tail -12 "$build/log.txt"
grep -a "stat::" "$build/log.txt"
