// Template: the product for one or two tokens with AVX-512 VNNI, of one 256-value format. Before including it, a
// format's file defines
//   CK_BLOCK            its block type
//   CK_KIND             one of the kinds below
//   CK_D, CK_DMIN       offsets of the binary16 fields in the block (CK_DMIN only with minima)
//   scales4             __m512i (const uint8_t *const block[4]): 16 scale bytes of each block, one block per lane
//   decode4             void (const uint8_t *const block[4], int half, __m512i q[8]): the 16-column groups 8 half … of
//                       four blocks, one block per lane: unsigned bytes before any scale
//   CK_WIDTH            columns per scale
//   CK_OFFSET_SHIFT     the bytes of decode4 are w + 2^CK_OFFSET_SHIFT, where a format has no minima
#include "avx512.h"
#include "rows.h"

#ifndef CK_AVX512_256_KINDS
#define CK_AVX512_256_KINDS
// Weights 0…31; scale bytes 0…7 are the scales, 8…15 the minima of 32-groups.
#define CK_SCALED_MIN 0
// Weights w + 32 with w of 6 bits; 16 signed scales.
#define CK_SCALED_OFFSET 1
// Weights 0…3; scale byte: 4-bit scale, 4-bit minimum.
#define CK_FLAT_MIN 2
// Weights w + 4 with w of 3 bits; 16 signed scales.
#define CK_FLAT_NEGATED 3
// Weights w + 128; scale bytes 0…7 are signed.
#define CK_LANE_SCALED 4

// With three tokens strips are faster.
#define CK_ROWS_256_TOKENS 2

// The tokens of a product by rows; the d of all of them lie together, block after block.
typedef struct ck_row_tokens {
    const int8_t *q[CK_ROWS_TOKENS];
    const ck_act256 *g[CK_ROWS_TOKENS];
    const float (*d)[CK_ROWS_TOKENS];
} ck_row_tokens;

// Byte shuffles that put 16-bit words a and b of a lane into its words 0…3 and 4…7; the words come from bytes
// (zero-extended) or from words.
CK_AVX512 CK_INLINE __m512i ck_spread_bytes(__m512i x, int a, int b) {
    const uint64_t ones = 0x0001000100010001, clear = 0x8000800080008000;
    __m128i index = _mm_set_epi64x((long long)(clear | ones * (uint64_t)b), (long long)(clear | ones * (uint64_t)a));
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(index));
}
CK_AVX512 CK_INLINE __m512i ck_spread_words(__m512i x, int a, int b) {
    const uint64_t ones = 0x0101010101010101, pair = 0x0100010001000100;
    __m128i index = _mm_set_epi64x((long long)(pair + ones * (uint64_t)(2 * b)),
                                   (long long)(pair + ones * (uint64_t)(2 * a)));
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(index));
}

// The sixteen bytes at p in every lane.
CK_AVX512 CK_INLINE __m512i ck_every_lane(const void *p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p));
}

// Lane r, dword t: the sum of lane r of x[t]. With one token all four dwords hold it.
CK_AVX512 CK_INLINE __m512i ck_sum_tokens(const __m512i *x, int tokens) {
    if (tokens == 1) {
        __m512i sum = _mm512_add_epi32(x[0], _mm512_shuffle_epi32(x[0], (_MM_PERM_ENUM)0x4e));
        return _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, (_MM_PERM_ENUM)0xb1));
    }
    return ck_sum_lanes4(x[0], x[1], x[tokens > 2 ? 2 : 0], x[tokens > 3 ? 3 : 1]);
}
#endif

// Four rows, one per lane, × `tokens`: out[token][4].
CK_AVX512 CK_INLINE void rows4_avx512(const uint8_t *const row[4], size_t blocks, const ck_row_tokens *x, float *out,
                                      int tokens) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i each_row = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    __m512 acc = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *block[4];
        for (int r = 0; r < 4; r++) block[r] = row[r] + b * sizeof(CK_BLOCK);
        ck_prefetch_rows(row[0], blocks * sizeof(CK_BLOCK), b * sizeof(CK_BLOCK), sizeof(CK_BLOCK));
        __m512i scales = scales4(block), minima = scales, wide0 = zero, wide1 = zero;
        __m512i total[CK_ROWS_TOKENS], min_total[CK_ROWS_TOKENS];
        if (CK_KIND == CK_FLAT_MIN) {
            minima = ck_high_nibbles(scales);
            scales = ck_low_nibbles(scales);
        }
        if (CK_KIND != CK_SCALED_MIN) {
            wide0 = _mm512_srai_epi16(_mm512_unpacklo_epi8(scales, scales), 8);
            wide1 = _mm512_srai_epi16(_mm512_unpackhi_epi8(scales, scales), 8);
        }
        // Sums over the groups of minimum × activations, or of what the offset of the weights adds.
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            const ck_act256 *g = x->g[t] + b;
            total[t] = zero;
            if (CK_KIND == CK_SCALED_MIN) {
                min_total[t] = _mm512_dpwssd_epi32(zero, _mm512_unpackhi_epi8(minima, zero), ck_every_lane(g->sum32));
            } else if (CK_KIND == CK_FLAT_MIN) {
                __m512i m = _mm512_dpwssd_epi32(zero, _mm512_unpacklo_epi8(minima, zero), ck_every_lane(g->sum16));
                min_total[t] = _mm512_dpwssd_epi32(m, _mm512_unpackhi_epi8(minima, zero), ck_every_lane(g->sum16 + 8));
            }
#ifdef CK_OFFSET_SHIFT
            __m512i m = _mm512_dpwssd_epi32(zero, wide0, ck_every_lane(CK_WIDTH == 32 ? g->sum32 : g->sum16));
            if (CK_WIDTH == 16) m = _mm512_dpwssd_epi32(m, wide1, ck_every_lane(g->sum16 + 8));
            total[t] = _mm512_sub_epi32(zero, _mm512_slli_epi32(m, CK_OFFSET_SHIFT));
#endif
        }
#pragma clang loop unroll(full)
        for (int half = 0; half < 2; half++) {
            __m512i q[8], scale[4] = {zero, zero, zero, zero};
            decode4(block, half, q);
            if (CK_KIND == CK_SCALED_MIN) {
                for (int i = 0; i < 2; i++) scale[i] = ck_spread_bytes(scales, 4 * half + 2 * i, 4 * half + 2 * i + 1);
            } else if (CK_KIND == CK_LANE_SCALED) {
                __m512i words = half ? _mm512_unpackhi_epi16(wide0, wide0) : _mm512_unpacklo_epi16(wide0, wide0);
                words = _mm512_srai_epi32(words, 16);
                scale[0] = _mm512_shuffle_epi32(words, (_MM_PERM_ENUM)0x00);
                scale[1] = _mm512_shuffle_epi32(words, (_MM_PERM_ENUM)0x55);
                scale[2] = _mm512_shuffle_epi32(words, (_MM_PERM_ENUM)0xaa);
                scale[3] = _mm512_shuffle_epi32(words, (_MM_PERM_ENUM)0xff);
            } else {
                for (int i = 0; i < 4; i++) scale[i] = ck_spread_words(half ? wide1 : wide0, 2 * i, 2 * i + 1);
            }
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                const int8_t *a = x->q[t] + 256 * b + 128 * half;
                if (CK_WIDTH == 32) {
#pragma clang loop unroll(full)
                    for (int i = 0; i < 4; i += 2) {
                        __m512i p0 = _mm512_dpbusd_epi32(zero, q[2 * i], ck_every_lane(a + 32 * i));
                        __m512i p1 = _mm512_dpbusd_epi32(zero, q[2 * i + 2], ck_every_lane(a + 32 * i + 32));
                        p0 = _mm512_dpbusd_epi32(p0, q[2 * i + 1], ck_every_lane(a + 32 * i + 16));
                        p1 = _mm512_dpbusd_epi32(p1, q[2 * i + 3], ck_every_lane(a + 32 * i + 48));
                        if (CK_KIND == CK_LANE_SCALED) {
                            p0 = _mm512_mullo_epi32(p0, scale[i]);
                            p1 = _mm512_mullo_epi32(p1, scale[i + 1]);
                            total[t] = _mm512_add_epi32(total[t], _mm512_add_epi32(p0, p1));
                        } else {
                            // Eight products of at most 31 * 127 fit 16 bits.
                            total[t] = _mm512_dpwssd_epi32(total[t], _mm512_packs_epi32(p0, p1), scale[i / 2]);
                        }
                    }
                } else {
#pragma clang loop unroll(full)
                    for (int i = 0; i < 4; i++) {
                        // Four products of at most 63 * 127 fit 16 bits.
                        __m512i p0 = _mm512_dpbusd_epi32(zero, q[2 * i], ck_every_lane(a + 32 * i));
                        __m512i p1 = _mm512_dpbusd_epi32(zero, q[2 * i + 1], ck_every_lane(a + 32 * i + 16));
                        total[t] = _mm512_dpwssd_epi32(total[t], _mm512_packs_epi32(p0, p1), scale[i]);
                    }
                }
            }
        }
        __m512 d = _mm512_permutexvar_ps(each_row, _mm512_castps128_ps512(ck_load_4_halves(block, CK_D)));
#ifdef CK_DMIN
        __m512 dmin = _mm512_permutexvar_ps(each_row, _mm512_castps128_ps512(ck_load_4_halves(block, CK_DMIN)));
#endif
        (void)min_total;
        __m512 act_d = _mm512_broadcast_f32x4(_mm_loadu_ps(x->d[b]));
        __m512i sum = ck_sum_tokens(total, tokens);
        acc = _mm512_fmadd_ps(_mm512_mul_ps(d, act_d), _mm512_cvtepi32_ps(sum), acc);
#ifdef CK_DMIN
        sum = ck_sum_tokens(min_total, tokens);
        acc = _mm512_fnmadd_ps(_mm512_mul_ps(dmin, act_d), _mm512_cvtepi32_ps(sum), acc);
#endif
    }
    float results[4][4];  // [row][token]
    _mm512_storeu_ps(results[0], acc);
    for (int t = 0; t < tokens; t++) {
        for (int r = 0; r < 4; r++) out[4 * t + r] = results[r][t];
    }
}

typedef void (*rows_avx512_fn)(const uint8_t *const row[4], size_t blocks, const ck_row_tokens *x, float *out);
#define ROWS(T)                                                                                                     \
    CK_AVX512 static void rows_##T(const uint8_t *const row[4], size_t blocks, const ck_row_tokens *x, float *out) { \
        rows4_avx512(row, blocks, x, out, T);                                                                       \
    }
ROWS(1)
ROWS(2)
#undef ROWS

// At most CK_ROWS_256_TOKENS tokens.
static void matmul_rows_avx512(const ck_job *job) {
    static const rows_avx512_fn kernels[CK_ROWS_256_TOKENS] = {rows_1, rows_2};
    const size_t blocks = job->cols / 256;
    float (*d)[CK_ROWS_TOKENS] = job->scratch;
    ck_row_tokens x = {.d = d};
    memset(d, 0, blocks * sizeof *d);
    for (size_t t = 0; t < job->tokens; t++) {
        ck_act256_row act = ck_act256_view(ck_job_act(job, t), job->cols);
        x.q[t] = act.q;
        x.g[t] = act.g;
        // A lone token fills all four places: its sums do too.
        size_t end = job->tokens == 1 ? CK_ROWS_TOKENS : t + 1;
        for (size_t b = 0; b < blocks; b++) {
            for (size_t i = t; i < end; i++) d[b][i] = act.g[b].d;
        }
    }
    for (size_t r = 0; r < job->rows; r += 4) {
        size_t rows = job->rows - r < 4 ? job->rows - r : 4;
        const uint8_t *row[4];
        for (size_t i = 0; i < 4; i++) row[i] = job->w + (r + (i < rows ? i : rows - 1)) * job->row_bytes;
        float out[CK_ROWS_TOKENS][4];
        kernels[job->tokens - 1](row, blocks, &x, out[0]);
        for (size_t t = 0; t < job->tokens; t++) {
            memcpy(job->y + t * job->y_stride + r, out[t], rows * sizeof(float));
        }
    }
}
