// A function marked KIT_SIMD is compiled for several instruction sets; the machine picks one when the module is loaded.
// The arithmetic is the same on all: the build forbids fused multiply-add.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define KIT_SIMD __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define KIT_SIMD
#endif
