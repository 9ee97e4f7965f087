// Template: the AVX2 kernels of one 256-value format. Before including it, a format's file defines
//   CK2_BLOCK           its block type
//   CK2_WIDTH           columns per scale, 16 or 32
//   CK2_SIGNED          1: decoded bytes are w; 0: they are unsigned, at most 63
//   CK2_STEPS           how many products of four columns fit one 16-bit sum without overflow: 1, 2, 4 or 8
//   CK2_OFFSET_SHIFT    unsigned without minima: bytes are w + 2^CK2_OFFSET_SHIFT
//   CK2_D, CK2_DMIN     offsets of the binary16 fields (CK2_DMIN only with minima); or instead of CK2_D
//   load_d_avx2         __m128 (const uint8_t *const block[4])
//   scales_avx2         void (const uint8_t *block, int16_t scale[16], int16_t min[16]): per 16 columns
//   decode_avx2         void (const uint8_t *block, __m256i q[8]): 256 bytes in order
//
// In a panel, scale holds the pair (s, s) of 16-bit words per row; min holds the minima or, where the offset must be
// taken back, the scales.
#include "avx2.h"
#include "rows.h"

// Tokens that share the weights of one pass through a strip of eight rows.
#define CK2_TOKENS 3

#ifdef CK2_D
CK_AVX2 CK_INLINE __m128 load_d_avx2(const uint8_t *const block[4]) { return ck_load_4_halves(block, CK2_D); }
#endif

static void prepare_avx2(const void *act, size_t cols, void *out) {
    memcpy(out, act, ck_act_row_bytes(CK_ACT_Q8_256, cols));
}

// The scales of columns 32 j … as sixteen words.
CK_AVX2 CK_INLINE __m256i spread_avx2(const int16_t *scale, int j) {
    if (CK2_WIDTH == 32) return _mm256_set1_epi16(scale[2 * j]);
    __m256i low = _mm256_castsi128_si256(_mm_set1_epi16(scale[2 * j]));
    return _mm256_inserti128_si256(low, _mm_set1_epi16(scale[2 * j + 1]), 1);
}

CK_AVX2 CK_INLINE void rows4_avx2(const uint8_t *const row[4], size_t cols, const uint8_t *prepared, size_t stride,
                                  float *out, int tokens) {
    __m128 acc[CK_ROWS_TOKENS];
    for (int t = 0; t < tokens; t++) acc[t] = _mm_setzero_ps();
    for (size_t b = 0; b < cols / 256; b++) {
        const uint8_t *block[4];
        __m256i sum[CK_ROWS_TOKENS][4], min_sum[CK_ROWS_TOKENS][4];
        for (int r = 0; r < 4; r++) block[r] = row[r] + b * sizeof(CK2_BLOCK);
        ck_prefetch_rows(row[0], cols / 256 * sizeof(CK2_BLOCK), b * sizeof(CK2_BLOCK), sizeof(CK2_BLOCK));
        for (int r = 0; r < 4; r++) {
            int16_t scale[16], min[16];
            __m256i q[8];
            scales_avx2(block[r], scale, min);
            decode_avx2(block[r], q);
            for (int t = 0; t < tokens; t++) {
                ck_act256_row act = ck_act256_view(prepared + (size_t)t * stride, cols);
                const int8_t *x = act.q + 256 * b;
                __m256i s = _mm256_setzero_si256();
#pragma clang loop unroll(full)
                for (int j = 0; j < 8; j++) {
                    __m256i pairs = ck_pairs256(q[j], ck_load256(x + 32 * j), CK2_SIGNED);
                    s = _mm256_add_epi32(s, _mm256_madd_epi16(pairs, spread_avx2(scale, j)));
                }
#ifdef CK2_OFFSET_SHIFT
                __m256i offset = _mm256_madd_epi16(ck_load256(scale), ck_load256(act.g[b].sum16));
                s = _mm256_sub_epi32(s, _mm256_slli_epi32(offset, CK2_OFFSET_SHIFT));
#endif
                sum[t][r] = s;
#ifdef CK2_DMIN
                min_sum[t][r] = _mm256_madd_epi16(ck_load256(min), ck_load256(act.g[b].sum16));
#endif
            }
        }
        (void)min_sum;
        __m128 d = load_d_avx2(block);
        for (int t = 0; t < tokens; t++) {
            ck_act256_row act = ck_act256_view(prepared + (size_t)t * stride, cols);
            __m128 act_d = _mm_set1_ps(act.g[b].d);
            __m128i total = ck_sum_all4_256(sum[t][0], sum[t][1], sum[t][2], sum[t][3]);
            acc[t] = _mm_fmadd_ps(_mm_mul_ps(d, act_d), _mm_cvtepi32_ps(total), acc[t]);
#ifdef CK2_DMIN
            total = ck_sum_all4_256(min_sum[t][0], min_sum[t][1], min_sum[t][2], min_sum[t][3]);
            __m128 dmin = ck_load_4_halves(block, CK2_DMIN);
            acc[t] = _mm_fnmadd_ps(_mm_mul_ps(dmin, act_d), _mm_cvtepi32_ps(total), acc[t]);
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
CK_AVX2 CK_INLINE void strip_avx2(const ck_panel *panel, int strip, const int8_t *const *q,
                                  const ck_act256 *const *act, float *const *out) {
    const int half = strip / 2, at = strip % 2 * 8;
    const int steps = CK2_STEPS;
    __m256i total[CK2_TOKENS];
#pragma clang loop unroll(full)
    for (int t = 0; t < CK2_TOKENS; t++) total[t] = _mm256_setzero_si256();
#pragma clang loop unroll(disable)
    for (int g = 0; g < 256 / CK2_WIDTH; g++) {
        __m256i scale = ck_load256(panel->scale[g][half] + at);
#pragma clang loop unroll(full)
        for (int k = 0; k < CK2_WIDTH / 4; k += steps) {
            __m256i sum[CK2_TOKENS];
#pragma clang loop unroll(full)
            for (int i = 0; i < steps; i++) {
                int column4 = g * (CK2_WIDTH / 4) + k + i;
                __m256i w = ck_load256(panel->q[column4][half] + 4 * at);
#pragma clang loop unroll(full)
                for (int t = 0; t < CK2_TOKENS; t++) {
                    __m256i pairs = ck_pairs256(w, ck_broadcast256(q[t] + 4 * column4), CK2_SIGNED);
                    sum[t] = i == 0 ? pairs : _mm256_add_epi16(sum[t], pairs);
                }
            }
#pragma clang loop unroll(full)
            for (int t = 0; t < CK2_TOKENS; t++) {
                total[t] = _mm256_add_epi32(total[t], _mm256_madd_epi16(sum[t], scale));
            }
        }
    }
    __m256 d = _mm256_loadu_ps(panel->d[0][half] + at);
#pragma clang loop unroll(full)
    for (int t = 0; t < CK2_TOKENS; t++) {
        __m256 act_d = _mm256_set1_ps(act[t]->d), acc = _mm256_loadu_ps(out[t] + 8 * strip);
#if defined(CK2_DMIN) || defined(CK2_OFFSET_SHIFT)
        __m256i other = _mm256_setzero_si256();
        for (int g = 0; g < 8; g++) {
            __m256i sums = ck_broadcast256(act[t]->sum16 + 2 * g);
            other = _mm256_add_epi32(other, _mm256_madd_epi16(ck_load256(panel->min[g][half] + 2 * at), sums));
        }
#endif
#ifdef CK2_OFFSET_SHIFT
        total[t] = _mm256_sub_epi32(total[t], _mm256_slli_epi32(other, CK2_OFFSET_SHIFT));
#endif
        acc = _mm256_fmadd_ps(_mm256_mul_ps(d, act_d), _mm256_cvtepi32_ps(total[t]), acc);
#ifdef CK2_DMIN
        __m256 dmin = _mm256_loadu_ps(panel->m[0][half] + at);
        acc = _mm256_fnmadd_ps(_mm256_mul_ps(dmin, act_d), _mm256_cvtepi32_ps(other), acc);
#endif
        _mm256_storeu_ps(out[t] + 8 * strip, acc);
    }
}

CK_AVX2 static void tile_avx2(const ck_tile *tile) {
    float unused[CK_PANEL_ROWS];
    memset(unused, 0, sizeof unused);
    for (size_t first = 0; first < tile->tokens; first += CK2_TOKENS) {
        const int8_t *q[CK2_TOKENS];
        const ck_act256 *act[CK2_TOKENS];
        float *out[CK2_TOKENS];
        for (size_t t = 0; t < CK2_TOKENS; t++) {
            size_t from = first + t < tile->tokens ? first + t : first;
            q[t] = tile->q[from];
            act[t] = (const ck_act256 *)tile->aux[from];
            out[t] = first + t < tile->tokens ? tile->acc + CK_PANEL_ROWS * from : unused;
        }
        for (int strip = 0; strip < 4; strip++) strip_avx2(tile->panel, strip, q, act, out);
    }
}

CK_AVX2 static void unpack_avx2(const uint8_t *w, size_t row_bytes, size_t rows, size_t blocks, ptrdiff_t ahead,
                                ck_panel *panel) {
    (void)blocks;
    for (size_t first = 0; first < CK_PANEL_ROWS; first += 8) {
        const size_t half = first / 16, at = first % 16;
        const uint8_t *block[8];
        __m256i q[8][8];  // [vector][row]
        for (size_t r = 0; r < 8; r++) {
            block[r] = w + (first + r < rows ? first + r : rows - 1) * row_bytes;
            for (size_t line = 0; line < sizeof(CK2_BLOCK); line += 64) __builtin_prefetch(block[r] + ahead + line);
            int16_t scale[16], min[16];
            __m256i row[8];
            scales_avx2(block[r], scale, min);
            decode_avx2(block[r], row);
            for (int v = 0; v < 8; v++) q[v][r] = row[v];
            for (int g = 0; g < 256 / CK2_WIDTH; g++) {
                uint32_t word = (uint16_t)scale[g * (CK2_WIDTH / 16)];
                panel->scale[g][half][at + r] = (int32_t)(word | word << 16);
            }
#ifdef CK2_OFFSET_SHIFT
            memcpy(min, scale, sizeof min);
#endif
            for (int g = 0; g < 8; g++) memcpy(panel->min[g][half] + 2 * (at + r), min + 2 * g, 4);
        }
        for (int v = 0; v < 8; v++) {
            ck_transpose8(q[v]);
            for (int i = 0; i < 8; i++) {
                _mm256_storeu_si256((__m256i *)(panel->q[8 * v + i][half] + 4 * at), q[v][i]);
            }
        }
        for (size_t r = 0; r < 8; r += 4) {
            _mm_storeu_ps(panel->d[0][half] + at + r, load_d_avx2(block + r));
#ifdef CK2_DMIN
            _mm_storeu_ps(panel->m[0][half] + at + r, ck_load_4_halves(block + r, CK2_DMIN));
#endif
        }
    }
}

static void matmul_avx2(const ck_job *job) {
    static const ck_rows_fn kernels[CK_ROWS_TOKENS] = {rows_1_avx2, rows_2_avx2, rows_3_avx2, rows_4_avx2};
    static const ck_tile_fn tiles[CK_TILE_TOKENS] = {tile_avx2, tile_avx2, tile_avx2, tile_avx2, tile_avx2, tile_avx2};
    if (job->tokens <= CK_ROWS_TOKENS) {
        ck_rows_matmul(job, prepare_avx2, kernels);
    } else {
        ck_panel_matmul(job, 256, sizeof(CK2_BLOCK), unpack_avx2, tiles);
    }
}
