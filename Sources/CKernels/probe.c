#include "ckprobe.h"

#include <string.h>

#include "ckernels.h"

#pragma STDC FP_CONTRACT OFF

// Twelve accumulators hide the latency of any multiply-add; the empty assembly keeps the compiler from seeing that
// their values are never used.
#define ACCUMULATORS 12

#define REPEAT(step) \
    do { \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < ACCUMULATORS; i++) { step; } \
    } while (0)

static uint64_t int8_portable(uint64_t rounds) {
    int32_t sum[ACCUMULATORS] = {0};
    int8_t a[16], b[16];
    memset(a, 3, sizeof a);
    memset(b, 5, sizeof b);
    for (uint64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" ::"r"(a), "r"(b) : "memory");
        REPEAT(for (int k = 0; k < 16; k++) sum[i] += a[k] * b[k]);
    }
    __asm__ volatile("" ::"r"(sum) : "memory");
    return rounds * ACCUMULATORS * 16;
}

static uint64_t float_portable(uint64_t rounds) {
    float sum[ACCUMULATORS][4] = {{0}};
    for (uint64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" ::"r"(sum) : "memory");
        REPEAT(for (int k = 0; k < 4; k++) sum[i][k] = sum[i][k] * 0.5f + 1.0f);
    }
    __asm__ volatile("" ::"r"(sum) : "memory");
    return rounds * ACCUMULATORS * 4;
}

static uint64_t read_portable(const void *memory, size_t bytes) {
    const uint64_t *p = memory;
    uint64_t x0 = 0, x1 = 0, x2 = 0, x3 = 0;
    for (size_t i = 0; i < bytes / 8; i += 4) {
        x0 ^= p[i];
        x1 ^= p[i + 1];
        x2 ^= p[i + 2];
        x3 ^= p[i + 3];
    }
    return x0 ^ x1 ^ x2 ^ x3;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

AVX2 static uint64_t int8_avx2(uint64_t rounds) {
    __m256i sum[ACCUMULATORS], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5), one = _mm256_set1_epi16(1);
    REPEAT(sum[i] = _mm256_setzero_si256());
    for (uint64_t r = 0; r < rounds; r++) {
        REPEAT(__asm__ volatile("" : "+x"(a));
               sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), one)));
    }
    REPEAT(__asm__ volatile("" ::"x"(sum[i])));
    return rounds * ACCUMULATORS * 32;
}

AVX2 static uint64_t float_avx2(uint64_t rounds) {
    __m256 sum[ACCUMULATORS], a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1.0f);
    REPEAT(sum[i] = _mm256_setzero_ps());
    for (uint64_t r = 0; r < rounds; r++) REPEAT(sum[i] = _mm256_fmadd_ps(sum[i], a, b); __asm__ volatile("" : "+x"(sum[i])));
    return rounds * ACCUMULATORS * 8;
}

AVX2 static uint64_t read_avx2(const void *memory, size_t bytes) {
    const __m256i *p = memory;
    __m256i x0 = _mm256_setzero_si256(), x1 = x0, x2 = x0, x3 = x0;
    for (size_t i = 0; i < bytes / 32; i += 4) {
        x0 = _mm256_xor_si256(x0, _mm256_loadu_si256(p + i));
        x1 = _mm256_xor_si256(x1, _mm256_loadu_si256(p + i + 1));
        x2 = _mm256_xor_si256(x2, _mm256_loadu_si256(p + i + 2));
        x3 = _mm256_xor_si256(x3, _mm256_loadu_si256(p + i + 3));
    }
    uint64_t lanes[4];
    _mm256_storeu_si256((__m256i *)lanes, _mm256_xor_si256(_mm256_xor_si256(x0, x1), _mm256_xor_si256(x2, x3)));
    return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
}

AVX512 static uint64_t int8_avx512(uint64_t rounds) {
    __m512i sum[ACCUMULATORS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
    REPEAT(sum[i] = _mm512_setzero_si512());
    for (uint64_t r = 0; r < rounds; r++) REPEAT(sum[i] = _mm512_dpbusd_epi32(sum[i], a, b); __asm__ volatile("" : "+v"(sum[i])));
    return rounds * ACCUMULATORS * 64;
}

AVX512 static uint64_t float_avx512(uint64_t rounds) {
    __m512 sum[ACCUMULATORS], a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1.0f);
    REPEAT(sum[i] = _mm512_setzero_ps());
    for (uint64_t r = 0; r < rounds; r++) REPEAT(sum[i] = _mm512_fmadd_ps(sum[i], a, b); __asm__ volatile("" : "+v"(sum[i])));
    return rounds * ACCUMULATORS * 16;
}

AVX512 static uint64_t read_avx512(const void *memory, size_t bytes) {
    const char *p = memory;
    __m512i x0 = _mm512_setzero_si512(), x1 = x0, x2 = x0, x3 = x0;
    for (size_t i = 0; i < bytes; i += 256) {
        x0 = _mm512_xor_si512(x0, _mm512_loadu_si512(p + i));
        x1 = _mm512_xor_si512(x1, _mm512_loadu_si512(p + i + 64));
        x2 = _mm512_xor_si512(x2, _mm512_loadu_si512(p + i + 128));
        x3 = _mm512_xor_si512(x3, _mm512_loadu_si512(p + i + 192));
    }
    uint64_t lanes[8], all = 0;
    _mm512_storeu_si512(lanes, _mm512_xor_si512(_mm512_xor_si512(x0, x1), _mm512_xor_si512(x2, x3)));
    for (int i = 0; i < 8; i++) all ^= lanes[i];
    return all;
}
#endif

uint64_t ck_probe_int8(uint64_t rounds) {
#if defined(__x86_64__)
    if (ck_isa_selected() == CK_ISA_AVX512) return int8_avx512(rounds);
    if (ck_isa_selected() == CK_ISA_AVX2) return int8_avx2(rounds);
#endif
    return int8_portable(rounds);
}

uint64_t ck_probe_float(uint64_t rounds) {
#if defined(__x86_64__)
    if (ck_isa_selected() == CK_ISA_AVX512) return float_avx512(rounds);
    if (ck_isa_selected() == CK_ISA_AVX2) return float_avx2(rounds);
#endif
    return float_portable(rounds);
}

uint64_t ck_probe_read(const void *memory, size_t bytes) {
#if defined(__x86_64__)
    if (ck_isa_selected() == CK_ISA_AVX512) return read_avx512(memory, bytes);
    if (ck_isa_selected() == CK_ISA_AVX2) return read_avx2(memory, bytes);
#endif
    return read_portable(memory, bytes);
}
