// A function marked KIT_SIMD is compiled for several instruction sets; the machine picks one by its features when the module is
// loaded. (An "arch=" with the name of a processor would be picked on that maker's processors only.) The arithmetic is the same
// in all: the build forbids fused multiply-add.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#if __GNUC__ >= 12
#define KIT_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KIT_SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#else
#define KIT_SIMD
#endif
