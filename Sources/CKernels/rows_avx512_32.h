// Template: the product for up to four tokens with AVX-512 VNNI, of one 32-value format, four blocks at a time. Before
// including it, a format's file defines
//   CK_BLOCK          its block type
//   CK_OFFSET_SHIFT   its bytes are w + 2^CK_OFFSET_SHIFT; undefined with CK_HAS_MIN, at most 5 with two scales
//   CK_HAS_MIN        defined when it has a minimum `m`, a binary16 at byte 2
//   load_scales       __m512 (const uint8_t *const block[16], size_t offset): the scales of the blocks `offset` bytes on
//   decode            void (const uint8_t *block, __m512i *low, __m512i *high): the unsigned bytes of four adjoining
//                     blocks; values 0…15 of block i are lane i of `low`, 16…31 of `high`
// or, where a block is a scale of CK_HEAD bytes and sixteen bytes of 4-bit values, instead of decode
//   decode_nibbles    void (__m512i x, __m512i *low, __m512i *high): the same from the sixteen bytes of each block
//   head_scales       __m512 (__m512i heads): the scales from dwords that begin with them
// or, where a block has CK_PARTS times 32 values (parts.h; decode gets four parts of one or more blocks)
//   row_scales        void (const uint8_t *const block[4], __m512 *d, __m512 *second): dword r of lane i: the scale of 32
//                     columns i of row r; `second`: with CK_TWO_SCALES_512 that of the second 16 of them
#include "avx512.h"
#include "parts.h"
#include "rows.h"

#ifndef CK_ROW_ACT32
#define CK_ROW_ACT32
// A token's activations of four blocks in the order of the decoded vectors.
typedef struct ck_row_act32 {
    int8_t low[64], high[64];
    float d[16];  // lane i: four times d of block i
    union {
        // What the offset of the weights adds to the products, negated: where sums begin. With two scales: those of `low`
        // with the lower, those of `high` with the upper sixteen bits.
        int32_t offset[16];
        float s[16];         // likewise d * sum
    };
} ck_row_act32;
_Static_assert(sizeof(ck_row_act32) == 256, "rows.h reserves 256 bytes");
#endif

CK_AVX512 static void prepare_avx512(const void *act, size_t cols, void *out) {
    ck_act32_row row = ck_act32_view(act, cols);
    ck_row_act32 *to = out;
    // The activation row is padded with zeros to whole groups of four blocks.
    for (size_t b = 0; b < cols / 32; b += 4, to++) {
        for (size_t i = 0; i < 4; i++) {
            memcpy(to->low + 16 * i, row.q + 32 * (b + i), 16);
            memcpy(to->high + 16 * i, row.q + 32 * (b + i) + 16, 16);
            for (size_t r = 0; r < 4; r++) {
                to->d[4 * i + r] = row.d[b + i];
#ifdef CK_HAS_MIN
                to->s[4 * i + r] = row.s[b + i];
#endif
            }
        }
#ifndef CK_HAS_MIN
        const __m512i zero = _mm512_setzero_si512(), one = ck_bytes512(1 << CK_OFFSET_SHIFT);
        __m512i offset = _mm512_dpbusd_epi32(zero, one, _mm512_load_si512(to->low));
#ifdef CK_TWO_SCALES_512
        __m512i second = _mm512_dpbusd_epi32(zero, one, _mm512_load_si512(to->high));
        second = _mm512_slli_epi32(_mm512_sub_epi32(zero, second), 16);
        offset = _mm512_mask_mov_epi16(second, 0x55555555, _mm512_sub_epi32(zero, offset));
        _mm512_store_si512(to->offset, offset);
        continue;
#endif
        offset = _mm512_dpbusd_epi32(offset, one, _mm512_load_si512(to->high));
        _mm512_store_si512(to->offset, _mm512_sub_epi32(zero, offset));
#endif
    }
}

// Four rows × four blocks from `block[row]` on, of which the first `blocks` count.
CK_AVX512 CK_INLINE void step_avx512(const uint8_t *const block[4], size_t blocks, const uint8_t *prepared,
                                     size_t stride, __m128 *acc, int tokens) {
    __m512i low[4], high[4];
#ifdef CK_HEAD
    __m512i bytes[4];
#pragma clang loop unroll(full)
    for (int r = 0; r < 4; r++) {
        // What lies behind the last block may not be ours to read.
        const __mmask64 some = ((__mmask64)1 << blocks % 4 * sizeof(CK_BLOCK)) - 1;
        bytes[r] = blocks == 4 ? _mm512_loadu_si512(block[r]) : _mm512_maskz_loadu_epi8(some, block[r]);
        decode_nibbles(ck_without_heads(bytes[r], block[r], CK_HEAD, blocks == 4), &low[r], &high[r]);
    }
    __m512 d = head_scales(ck_heads(bytes, CK_HEAD));
#else
#pragma clang loop unroll(full)
    for (int r = 0; r < 4; r++) decode(block[r], &low[r], &high[r]);
#if CK_PARTS > 1
    __m512 d, second_d;
    row_scales(block, &d, &second_d);
    (void)second_d;
#else
    const uint8_t *each[16];  // [block][row]
    for (int i = 0; i < 16; i++) each[i] = block[i % 4] + (size_t)(i / 4) * sizeof(CK_BLOCK);
    __m512 d = load_scales(each, 0);
#endif
#endif
#ifdef CK_HAS_MIN
    __m512 m = ck_load_16_halves(each, 2);
#endif
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
        const ck_row_act32 *a = (const ck_row_act32 *)(prepared + (size_t)t * stride);
        __m512i x0 = _mm512_load_si512(a->low), x1 = _mm512_load_si512(a->high), p[4];
#ifdef CK_TWO_SCALES_512
        __m512i offsets = _mm512_load_si512(a->offset), more[4];
        for (int r = 0; r < 4; r++) {
            p[r] = _mm512_dpbusd_epi32(_mm512_srai_epi32(_mm512_slli_epi32(offsets, 16), 16), low[r], x0);
            more[r] = _mm512_dpbusd_epi32(_mm512_srai_epi32(offsets, 16), high[r], x1);
        }
        __m512 act_d = _mm512_load_ps(a->d), first = _mm512_mul_ps(d, act_d), second = _mm512_mul_ps(second_d, act_d);
        __m512 low_sum = _mm512_cvtepi32_ps(ck_sum_lanes4(p[0], p[1], p[2], p[3]));
        __m512 high_sum = _mm512_cvtepi32_ps(ck_sum_lanes4(more[0], more[1], more[2], more[3]));
#pragma clang loop unroll(full)
        for (int b = 0; b < 4; b++) {
            if (blocks <= (size_t)b) continue;
            acc[t] = _mm_fmadd_ps(ck_lane_ps(first, b), ck_lane_ps(low_sum, b), acc[t]);
            acc[t] = _mm_fmadd_ps(ck_lane_ps(second, b), ck_lane_ps(high_sum, b), acc[t]);
        }
#else
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
#ifdef CK_HAS_MIN
            p[r] = _mm512_setzero_si512();
#else
            p[r] = _mm512_load_si512(a->offset);
#endif
            p[r] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(p[r], low[r], x0), high[r], x1);
        }
        __m512i sum = ck_sum_lanes4(p[0], p[1], p[2], p[3]);
        __m512 scale = _mm512_mul_ps(d, _mm512_load_ps(a->d)), value = _mm512_cvtepi32_ps(sum);
        acc[t] = _mm_fmadd_ps(_mm512_castps512_ps128(scale), _mm512_castps512_ps128(value), acc[t]);
#ifdef CK_HAS_MIN
#define MINIMUM(B)                                                                          \
    acc[t] = _mm_fmadd_ps(_mm512_extractf32x4_ps(m, B), _mm_load_ps(a->s + 4 * B), acc[t])
#else
#define MINIMUM(B) (void)0
#endif
#define NEXT_BLOCK(B)                                                                                              \
    if (blocks > B) {                                                                                              \
        acc[t] = _mm_fmadd_ps(_mm512_extractf32x4_ps(scale, B), _mm512_extractf32x4_ps(value, B), acc[t]);         \
        MINIMUM(B);                                                                                                \
    }
        MINIMUM(0);
        NEXT_BLOCK(1)
        NEXT_BLOCK(2)
        NEXT_BLOCK(3)
#undef NEXT_BLOCK
#undef MINIMUM
#endif
    }
}

CK_AVX512 CK_INLINE void rows4_avx512(const uint8_t *const row[4], size_t cols, const uint8_t *prepared,
                                      size_t stride, float *out, int tokens) {
    __m128 acc[CK_ROWS_TOKENS];
    for (int t = 0; t < tokens; t++) acc[t] = _mm_setzero_ps();
    size_t blocks = cols / 32, b = 0;
    const uint8_t *block[4];
    for (; b + 4 <= blocks; b += 4) {
        const size_t at = b / CK_PARTS * sizeof(CK_BLOCK);
        for (int r = 0; r < 4; r++) block[r] = row[r] + at;
        ck_prefetch_rows(row[0], blocks / CK_PARTS * sizeof(CK_BLOCK), at, 4 / CK_PARTS * sizeof(CK_BLOCK));
        step_avx512(block, 4, prepared + b / 4 * sizeof(ck_row_act32), stride, acc, tokens);
    }
    if (b < blocks) {
#ifdef CK_HEAD
        for (int r = 0; r < 4; r++) block[r] = row[r] + b * sizeof(CK_BLOCK);
#else
        uint8_t copy[4][4 / CK_PARTS * sizeof(CK_BLOCK)] = {0};
        for (int r = 0; r < 4; r++) {
            const size_t at = b / CK_PARTS * sizeof(CK_BLOCK), bytes = (blocks - b) / CK_PARTS * sizeof(CK_BLOCK);
            memcpy(copy[r], row[r] + at, bytes);
            block[r] = copy[r];
        }
#endif
        step_avx512(block, blocks - b, prepared + b / 4 * sizeof(ck_row_act32), stride, acc, tokens);
    }
    for (int t = 0; t < tokens; t++) _mm_storeu_ps(out + 4 * t, acc[t]);
}

CK_AVX512 static void rows_1(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx512(row, n, x, stride, out, 1);
}
CK_AVX512 static void rows_2(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx512(row, n, x, stride, out, 2);
}
CK_AVX512 static void rows_3(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx512(row, n, x, stride, out, 3);
}
CK_AVX512 static void rows_4(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx512(row, n, x, stride, out, 4);
}

static void matmul_rows_avx512(const ck_job *job) {
    static const ck_rows_fn kernels[CK_ROWS_TOKENS] = {rows_1, rows_2, rows_3, rows_4};
    ck_rows_matmul(job, prepare_avx512, kernels);
}
