// Template: the strips of one 32-value format with AVX-512 VNNI. Before including it, a format's file defines
//   CK_BLOCK         its block type
//   CK_HAS_MIN       defined when it has a minimum `m`, a binary16 at byte 2
//   load_scales      as rows_avx512_32.h says
//   pack_four        void (const uint8_t *const row[16], int at, ck_strip *): the bytes of blocks at … at + 3, from the
//                    four adjoining blocks at row[r]
//   columns          __m512i (const ck_strip *, size_t b, int k): columns 4 k … of block b as unsigned bytes w + 128,
//                    or w with CK_HAS_MIN; k is a constant
//   CK_PACKED_TOKENS CK_ALWAYS_PACKED or CK_SELDOM_PACKED
//   CK_TWO_SCALES_512  defined when 16 values have a scale, with
//   second_scales    as load_scales, of the second 16
// Where a block has CK_PARTS times 32 values, load_scales and second_scales also take the part (parts.h), and pack_four
// gets the blocks of four parts.
#include "parts.h"
#include "strip_avx512.h"

CK_AVX512 static void pack_avx512(const uint8_t *const row[16], size_t blocks, ck_strip *strip) {
    for (size_t at = 0; at < blocks; at += 4) {
        const uint8_t *block[16];
        uint8_t copy[16][4 / CK_PARTS * sizeof(CK_BLOCK)];
        for (size_t r = 0; r < 16; r++) {
            block[r] = row[r] + at / CK_PARTS * sizeof(CK_BLOCK);
            if (blocks - at < 4) {
                memset(copy[r], 0, sizeof copy[r]);
                memcpy(copy[r], block[r], (blocks - at) / CK_PARTS * sizeof(CK_BLOCK));
                block[r] = copy[r];
            }
        }
        pack_four(block, (int)at, strip);
        for (size_t b = 0; b < 4; b++) {
#ifdef CK_HAS_MIN
            __m512i d = ck_load_16_dwords(block, b * sizeof(CK_BLOCK));
            _mm512_store_ps(strip->d[at + b], ck_lower_halves(d));
            _mm512_store_ps(strip->m[at + b], ck_lower_halves(_mm512_srli_epi32(d, 16)));
#else
            const size_t offset = b / CK_PARTS * sizeof(CK_BLOCK);
            _mm512_store_ps(strip->d[at + b], load_scales(block, CK_WITH_PART(offset, b)));
#ifdef CK_TWO_SCALES_512
            _mm512_store_ps(strip->m[at + b], second_scales(block, CK_WITH_PART(offset, b)));
#endif
#endif
        }
    }
}

CK_AVX512 static void unpack_avx512(ck_strip *strip) {
#pragma clang loop unroll(disable)
    for (size_t b = 0; b < 8; b++) {
#pragma clang loop unroll(full)
        for (int k = 0; k < 8; k++) _mm512_store_si512(strip->bytes[8 * b + (size_t)k], columns(strip, b, k));
    }
}

// The float steps follow every block.
CK_AVX512 CK_INLINE void strip_avx512(const ck_strip_job *job, int tokens, int unpacked, int packs,
                                     ck_strip_next *next) {
    (void)packs, (void)next;
    const ck_strip *strip = job->strip;
    const int8_t *q[CK_STRIP_TOKENS];
    const uint8_t *aux[CK_STRIP_TOKENS];
    __m512 acc[CK_STRIP_TOKENS];
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
        q[t] = job->q[t] + job->q_offset;
        aux[t] = job->aux[t] + job->aux_offset;
        acc[t] = _mm512_load_ps(job->acc + CK_STRIP_ROWS * t);
    }
#pragma clang loop unroll(disable)
    for (size_t b = 0; b < job->blocks; b++) {
        __m512i sum[CK_STRIP_TOKENS];
#ifdef CK_TWO_SCALES_512
        __m512i first[CK_STRIP_TOKENS];
#endif
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
#ifdef CK_HAS_MIN
            sum[t] = _mm512_setzero_si512();
#else
            sum[t] = ck_broadcast512(aux[t] + job->nsum_offset + 4 * b);
#endif
#ifdef CK_TWO_SCALES_512
            sum[t] = _mm512_sub_epi32(sum[t], ck_broadcast512(aux[t] + job->first_offset + 4 * b));
            first[t] = ck_broadcast512(aux[t] + job->first_offset + 4 * b);
#endif
        }
#pragma clang loop unroll(full)
        for (int k = 0; k < 8; k++) {
            __m512i w = unpacked ? _mm512_load_si512(strip->bytes[8 * b + (size_t)k]) : columns(strip, b, k);
#ifdef CK_TWO_SCALES_512
            ck_strip_multiply(k < 4 ? first : sum, w, q, 32 * b + 4 * (size_t)k, tokens);
#else
            ck_strip_multiply(sum, w, q, 32 * b + 4 * (size_t)k, tokens);
#endif
        }
        __m512 d = _mm512_load_ps(strip->d[b]);
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            __m512 scale = _mm512_mul_ps(d, ck_broadcast_float512(aux[t] + 4 * b));
#ifdef CK_TWO_SCALES_512
            acc[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(first[t]), acc[t]);
            scale = _mm512_mul_ps(_mm512_load_ps(strip->m[b]), ck_broadcast_float512(aux[t] + 4 * b));
#endif
            acc[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sum[t]), acc[t]);
#ifdef CK_HAS_MIN
            __m512 s = ck_broadcast_float512(aux[t] + job->s_offset + 4 * b);
            acc[t] = _mm512_fmadd_ps(_mm512_load_ps(strip->m[b]), s, acc[t]);
#endif
        }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) _mm512_store_ps(job->acc + CK_STRIP_ROWS * t, acc[t]);
}

CK_STRIP_CODE(32 * CK_PARTS)

static void matmul_avx512(const ck_job *job) {
    if (job->tokens <= CK_ROWS_TOKENS) {
        matmul_rows_avx512(job);
    } else {
        ck_strip_matmul(job, &strips_avx512);
    }
}
