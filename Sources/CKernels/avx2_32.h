// Template: the AVX2 kernels of one 32-value format. Before including it, a format's file defines
//   CK2_BLOCK           its block type
//   CK2_SIGNED          1: decoded bytes are w; 0: they are unsigned, at most 31
//   CK2_STEPS           how many products of four columns fit one 16-bit sum without overflow: 1, 2, 4 or 8; at most 4
//                       with two scales
//   CK2_OFFSET_SHIFT    unsigned without minimum: bytes are w + 2^CK2_OFFSET_SHIFT
//   CK2_HAS_MIN         defined when it has a minimum `m`, a binary16 at byte 2
//   CK2_TWO_SCALES      defined when 16 values have a scale; signed only
//   load_scales_avx2    __m128 (const uint8_t *const block[4])
//   second_scales_avx2  the same for the second 16 values, with CK2_TWO_SCALES
//   decode_avx2         __m256i (const uint8_t *block): 32 bytes in order
// where the last three also take the part (parts.h).
#include "avx2.h"
#include "parts.h"
#include "rows.h"

#define CK2_TOKENS 3

static void prepare_avx2(const void *act, size_t cols, void *out) {
    memcpy(out, act, ck_act_row_bytes(CK_ACT_Q8_32, cols));
}

CK_AVX2 CK_INLINE void rows4_avx2(const uint8_t *const row[4], size_t cols, const uint8_t *prepared, size_t stride,
                                  float *out, int tokens) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m128 acc[CK_ROWS_TOKENS];
    ck_act32_row act[CK_ROWS_TOKENS];
    for (int t = 0; t < tokens; t++) {
        acc[t] = _mm_setzero_ps();
        act[t] = ck_act32_view(prepared + (size_t)t * stride, cols);
    }
    for (size_t b = 0; b < cols / 32; b++) {
        const uint8_t *block[4];
        __m256i q[4];
        for (int r = 0; r < 4; r++) {
            block[r] = row[r] + b / CK_PARTS * sizeof(CK2_BLOCK);
            q[r] = decode_avx2(CK_WITH_PART(block[r], b));
        }
        if (b % CK_PARTS == 0) {
            const size_t row_bytes = cols / 32 / CK_PARTS * sizeof(CK2_BLOCK);
            ck_prefetch_rows(row[0], row_bytes, b / CK_PARTS * sizeof(CK2_BLOCK), sizeof(CK2_BLOCK));
        }
        __m128 d = load_scales_avx2(CK_WITH_PART(block, b));
#ifdef CK2_TWO_SCALES
        __m128 second_d = second_scales_avx2(CK_WITH_PART(block, b));
#endif
        for (int t = 0; t < tokens; t++) {
            __m256i x = ck_load256(act[t].q + 32 * b), sum[4];
            for (int r = 0; r < 4; r++) sum[r] = _mm256_madd_epi16(ck_pairs256(q[r], x, CK2_SIGNED), ones);
#ifdef CK2_TWO_SCALES
            // A lane has the sums of one half.
            __m256i low = _mm256_hadd_epi32(sum[0], sum[1]), high = _mm256_hadd_epi32(sum[2], sum[3]);
            __m256 halves = _mm256_cvtepi32_ps(_mm256_hadd_epi32(low, high));
            __m128 act_d = _mm_set1_ps(act[t].d[b]);
            acc[t] = _mm_fmadd_ps(_mm_mul_ps(d, act_d), _mm256_castps256_ps128(halves), acc[t]);
            acc[t] = _mm_fmadd_ps(_mm_mul_ps(second_d, act_d), _mm256_extractf128_ps(halves, 1), acc[t]);
#else
            __m128i total = ck_sum_all4_256(sum[0], sum[1], sum[2], sum[3]);
#ifdef CK2_OFFSET_SHIFT
            total = _mm_add_epi32(total, _mm_set1_epi32(act[t].nsum[b] >> (7 - CK2_OFFSET_SHIFT)));
#endif
            acc[t] = _mm_fmadd_ps(_mm_mul_ps(d, _mm_set1_ps(act[t].d[b])), _mm_cvtepi32_ps(total), acc[t]);
#ifdef CK2_HAS_MIN
            acc[t] = _mm_fmadd_ps(ck_load_4_halves(block, 2), _mm_set1_ps(act[t].s[b]), acc[t]);
#endif
#endif
        }
    }
    for (int t = 0; t < tokens; t++) _mm_storeu_ps(out + 4 * t, acc[t]);
}

CK_AVX2 static void rows_1_avx2(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx2(row, n, x, stride, out, 1);
}
CK_AVX2 static void rows_2_avx2(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx2(row, n, x, stride, out, 2);
}
CK_AVX2 static void rows_3_avx2(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx2(row, n, x, stride, out, 3);
}
CK_AVX2 static void rows_4_avx2(const uint8_t *const row[4], size_t n, const uint8_t *x, size_t stride, float *out) {
    rows4_avx2(row, n, x, stride, out, 4);
}

// Eight rows (strip 0…3 of the panel) × CK2_TOKENS tokens.
CK_AVX2 CK_INLINE void strip_avx2(const ck_tile *tile, int strip, const int8_t *const *q, const uint8_t *const *aux,
                                  float *const *out) {
    const ck_panel *panel = tile->panel;
    const int half = strip / 2, at = strip % 2 * 8;
    const int steps = CK2_STEPS;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256 acc[CK2_TOKENS];
#pragma clang loop unroll(full)
    for (int t = 0; t < CK2_TOKENS; t++) acc[t] = _mm256_loadu_ps(out[t] + 8 * strip);
    for (size_t b = 0; b < tile->blocks; b++) {
        __m256i total[CK2_TOKENS];
#ifdef CK2_TWO_SCALES
        __m256 first_sum[CK2_TOKENS];
#endif
#pragma clang loop unroll(full)
        for (int k = 0; k < 8; k += steps) {
            __m256i sum[CK2_TOKENS];
#pragma clang loop unroll(full)
            for (int i = 0; i < steps; i++) {
                __m256i w = ck_load256(panel->q[8 * b + (size_t)(k + i)][half] + 4 * at);
#pragma clang loop unroll(full)
                for (int t = 0; t < CK2_TOKENS; t++) {
                    __m256i x = ck_broadcast256(q[t] + 32 * b + 4 * (k + i));
                    __m256i pairs = ck_pairs256(w, x, CK2_SIGNED);
                    sum[t] = i == 0 ? pairs : _mm256_add_epi16(sum[t], pairs);
                }
            }
#pragma clang loop unroll(full)
            for (int t = 0; t < CK2_TOKENS; t++) {
                __m256i wide = _mm256_madd_epi16(sum[t], ones);
#ifdef CK2_TWO_SCALES
                if (k == 4) first_sum[t] = _mm256_cvtepi32_ps(total[t]);
                total[t] = k % 4 == 0 ? wide : _mm256_add_epi32(total[t], wide);
#else
                total[t] = k == 0 ? wide : _mm256_add_epi32(total[t], wide);
#endif
            }
        }
        __m256 d = _mm256_loadu_ps(panel->d[b][half] + at);
#pragma clang loop unroll(full)
        for (int t = 0; t < CK2_TOKENS; t++) {
#ifdef CK2_OFFSET_SHIFT
            __m256i nsum = ck_broadcast256(aux[t] + tile->nsum_offset + 4 * b);
            total[t] = _mm256_add_epi32(total[t], _mm256_srai_epi32(nsum, 7 - CK2_OFFSET_SHIFT));
#endif
            __m256 act_d = _mm256_castsi256_ps(ck_broadcast256(aux[t] + 4 * b));
#ifdef CK2_TWO_SCALES
            acc[t] = _mm256_fmadd_ps(_mm256_mul_ps(d, act_d), first_sum[t], acc[t]);
            d = _mm256_loadu_ps(panel->m[b][half] + at);
#endif
            acc[t] = _mm256_fmadd_ps(_mm256_mul_ps(d, act_d), _mm256_cvtepi32_ps(total[t]), acc[t]);
#ifdef CK2_TWO_SCALES
            d = _mm256_loadu_ps(panel->d[b][half] + at);
#endif
#ifdef CK2_HAS_MIN
            __m256 act_s = _mm256_castsi256_ps(ck_broadcast256(aux[t] + tile->s_offset + 4 * b));
            acc[t] = _mm256_fmadd_ps(_mm256_loadu_ps(panel->m[b][half] + at), act_s, acc[t]);
#endif
        }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < CK2_TOKENS; t++) _mm256_storeu_ps(out[t] + 8 * strip, acc[t]);
}

CK_AVX2 static void tile_avx2(const ck_tile *tile) {
    float unused[CK_PANEL_ROWS];
    memset(unused, 0, sizeof unused);
    for (size_t first = 0; first < tile->tokens; first += CK2_TOKENS) {
        const int8_t *q[CK2_TOKENS];
        const uint8_t *aux[CK2_TOKENS];
        float *out[CK2_TOKENS];
        for (size_t t = 0; t < CK2_TOKENS; t++) {
            size_t from = first + t < tile->tokens ? first + t : first;
            q[t] = tile->q[from];
            aux[t] = tile->aux[from];
            out[t] = first + t < tile->tokens ? tile->acc + CK_PANEL_ROWS * from : unused;
        }
        for (int strip = 0; strip < 4; strip++) strip_avx2(tile, strip, q, aux, out);
    }
}

CK_AVX2 static void unpack_avx2(const uint8_t *w, size_t row_bytes, size_t rows, size_t blocks, ptrdiff_t ahead,
                                ck_panel *panel) {
    for (size_t first = 0; first < CK_PANEL_ROWS; first += 8) {
        const size_t half = first / 16, at = first % 16;
        for (size_t b = 0; b < blocks; b++) {
            const uint8_t *block[8];
            __m256i q[8];
            for (size_t r = 0; r < 8; r++) {
                block[r] = w + (first + r < rows ? first + r : rows - 1) * row_bytes + b / CK_PARTS * sizeof(CK2_BLOCK);
                __builtin_prefetch(block[r] + ahead);
                q[r] = decode_avx2(CK_WITH_PART(block[r], b));
            }
            ck_transpose8(q);
            for (size_t i = 0; i < 8; i++) {
                _mm256_storeu_si256((__m256i *)(panel->q[8 * b + i][half] + 4 * at), q[i]);
            }
            for (size_t r = 0; r < 8; r += 4) {
                _mm_storeu_ps(panel->d[b][half] + at + r, load_scales_avx2(CK_WITH_PART(block + r, b)));
#ifdef CK2_TWO_SCALES
                _mm_storeu_ps(panel->m[b][half] + at + r, second_scales_avx2(CK_WITH_PART(block + r, b)));
#endif
#ifdef CK2_HAS_MIN
                _mm_storeu_ps(panel->m[b][half] + at + r, ck_load_4_halves(block + r, 2));
#endif
            }
        }
    }
}

static void matmul_avx2(const ck_job *job) {
    static const ck_rows_fn kernels[CK_ROWS_TOKENS] = {rows_1_avx2, rows_2_avx2, rows_3_avx2, rows_4_avx2};
    static const ck_tile_fn tiles[CK_TILE_TOKENS] = {tile_avx2, tile_avx2, tile_avx2, tile_avx2, tile_avx2, tile_avx2};
    if (job->tokens <= CK_ROWS_TOKENS) {
        ck_rows_matmul(job, prepare_avx2, kernels);
    } else {
        ck_panel_matmul(job, 32 * CK_PARTS, sizeof(CK2_BLOCK), unpack_avx2, tiles);
    }
}
