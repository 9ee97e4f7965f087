// Template: the product for one or two tokens with AVX-512 VNNI, of one 256-value format. Before including it, a
// format's file defines
//   CK_BLOCK            its block type
//   CK_KIND             one of the kinds below
//   CK_D, CK_DMIN       with minima, offsets of the binary16 fields in the block; dmin stands right behind d
//   load_d_avx2         as avx2_256.h has it
//   scales4             __m512i (const uint8_t *const block[4]): 16 scale bytes of each block, one block per lane; not
//                       with CK_UNSCALED
//   decode              void (const uint8_t *block, __m512i q[4]): the 256 columns of one block as unsigned bytes before
//                       any scale
//   CK_PIECES           which 16 columns those are: piece p of the block (columns 16 p …) for each lane of q[0] … q[3]
//   CK_WIDTH            columns per scale
//   CK_OFFSET_SHIFT     the bytes of decode are w + 2^CK_OFFSET_SHIFT, where a format has no minima
#include "avx512.h"
#include "rows.h"

#ifndef CK_AVX512_256_KINDS
#define CK_AVX512_256_KINDS
// Weights 0…31; scale bytes 0…7 are the scales, 8…15 the minima of 32-groups.
#define CK_SCALED_MIN 0
// Weights w + 2^CK_OFFSET_SHIFT with w in -64…63; 16 or 8 signed scales.
#define CK_SCALED_OFFSET 1
// Weights 0…3; scale byte: 4-bit scale, 4-bit minimum.
#define CK_FLAT_MIN 2
// Weights w + 4 with w of 3 bits; 16 signed scales.
#define CK_FLAT_NEGATED 3
// Weights w + 128; scale bytes 0…7 are signed. q[0] and q[1] hold the halves of the same groups, q[2] and q[3] too.
#define CK_LANE_SCALED 4
// Weights w + 2^CK_OFFSET_SHIFT without scales.
#define CK_UNSCALED 5

// With three tokens strips are faster.
#define CK_ROWS_256_TOKENS 2

// A token's activations of one block in the order of the decoded vectors.
typedef struct ck_row_act256 {
    int8_t q[4][64];
    union {
        int32_t offset[4][16];  // what the offset of the weights adds to the products, negated: where sums begin
        int16_t sums[2][32];    // [..][lane][4][2]: sums of q over the two groups whose minima a lane holds
    };
    float d;
    int32_t padding[15];
} ck_row_act256;
#endif

#ifdef CK_OFFSET_SHIFT
#define CK_SIGNED_SCALES 1
#else
#define CK_SIGNED_SCALES 0
#endif

CK_AVX512 static void prepare_avx512(const void *act, size_t cols, void *out) {
    static const uint8_t piece[16] = {CK_PIECES};
    ck_act256_row row = ck_act256_view(act, cols);
    ck_row_act256 *to = out;
    for (size_t b = 0; b < cols / 256; b++, to++) {
        const int8_t *q = row.q + 256 * b;
        to->d = row.g[b].d;
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) {
            const uint8_t *p = piece + 4 * i;
            __m512i x = ck_load_lanes(q + 16 * p[0], q + 16 * p[1], q + 16 * p[2], q + 16 * p[3]);
            _mm512_store_si512(to->q[i], x);
#ifdef CK_OFFSET_SHIFT
            const __m512i zero = _mm512_setzero_si512();
            __m512i offset = _mm512_dpbusd_epi32(zero, ck_bytes512(1 << CK_OFFSET_SHIFT), x);
            // One sum runs over q[0] and q[1], one over q[2] and q[3], or one over all.
            const int first = CK_KIND == CK_LANE_SCALED ? i - i % 2 : CK_KIND == CK_UNSCALED ? 0 : i;
            if (i != first) {
                __m512i other = _mm512_load_si512(to->offset[first]);
                _mm512_store_si512(to->offset[first], _mm512_sub_epi32(other, offset));
            } else {
                _mm512_store_si512(to->offset[i], _mm512_sub_epi32(zero, offset));
            }
#endif
        }
#if CK_KIND == CK_SCALED_MIN || CK_KIND == CK_FLAT_MIN
        const __m512i each = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
        const int16_t *sums = CK_KIND == CK_SCALED_MIN ? row.g[b].sum32 : row.g[b].sum16;
        for (int i = 0; i < 128 / CK_WIDTH / 4; i++) {
            __m128i four = _mm_loadu_si128((const __m128i *)(sums + 8 * i));
            _mm512_store_si512(to->sums[i], _mm512_permutexvar_epi32(each, _mm512_castsi128_si512(four)));
        }
#endif
    }
}

// What the shuffles of a step look up.
typedef struct ck_row_orders {
    __m512i scale[2];    // within a lane: the scales of q[0] and q[1], then of q[2] and q[3]
    __m512i row[4];      // from such a table of four rows: one row's scales, spread over the sums
    __m512i minimum[2];  // from the scale bytes of four rows: lane l, dword r holds two minima of row r as words
} ck_row_orders;

CK_AVX512 CK_INLINE ck_row_orders row_orders_avx512(void) {
    ck_row_orders orders;
    const __m128i none = _mm_set1_epi8((char)0x80);
    __m128i bytes = _mm_setr_epi8(CK_PIECES);
    if (CK_WIDTH == 32) bytes = _mm_and_si128(_mm_srli_epi16(bytes, 1), _mm_set1_epi8(7));
    for (int half = 0; half < 2; half++, bytes = _mm_srli_si128(bytes, 8)) {
#if CK_KIND == CK_LANE_SCALED
        __m128i order = _mm_or_si128(_mm_slli_epi32(_mm_cvtepu8_epi32(bytes), 24), _mm_srli_epi32(none, 8));
#elif CK_SIGNED_SCALES
        __m128i order = _mm_unpacklo_epi8(none, bytes);
#else
        __m128i order = _mm_unpacklo_epi8(bytes, none);
#endif
        orders.scale[half] = _mm512_broadcast_i32x4(order);
    }
    const __m512i lane = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    for (int r = 0; r < 4; r++) {
#if CK_KIND == CK_LANE_SCALED
        orders.row[r] = _mm512_add_epi32(lane, _mm512_set1_epi32(4 * r));
#else
        // Words `lane` and 4 + `lane` of lane r, each in four places.
        const __m512i place = _mm512_broadcast_i32x4(_mm_setr_epi16(0, 0, 0, 0, 4, 4, 4, 4));
        const __m512i words = _mm512_add_epi16(place, _mm512_mullo_epi32(lane, _mm512_set1_epi32(0x10001)));
        orders.row[r] = _mm512_add_epi16(words, _mm512_set1_epi16((short)(8 * r)));
#endif
    }
    // Lane l, dword r: bytes 2 l and 2 l + 1 of row r, each in the lower half of a word.
    const __m512i pairs = _mm512_broadcast_i32x4(_mm_setr_epi32(0x010000, 0x110010, 0x210020, 0x310030));
    orders.minimum[0] = _mm512_add_epi32(pairs, _mm512_mullo_epi32(lane, _mm512_set1_epi32(0x20002)));
    orders.minimum[1] = _mm512_add_epi8(orders.minimum[0], ck_bytes512(8));
    return orders;
}

// Both halves of 16 dwords added.
CK_AVX512 CK_INLINE __m256i ck_fold512(__m512i x) {
    return _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
}

// Four rows × `tokens`: out[token][4].
CK_AVX512 CK_INLINE void rows4_avx512(const uint8_t *const row[4], size_t blocks, const uint8_t *prepared,
                                      size_t stride, float *out, int tokens) {
    const ck_row_orders orders = row_orders_avx512();
    (void)orders;
    const __m512i zero = _mm512_setzero_si512();
    __m128 acc[CK_ROWS_256_TOKENS] = {_mm_setzero_ps(), _mm_setzero_ps()};
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *block[4];
        for (int r = 0; r < 4; r++) block[r] = row[r] + b * sizeof(CK_BLOCK);
        ck_prefetch_rows(row[0], blocks * sizeof(CK_BLOCK), b * sizeof(CK_BLOCK), sizeof(CK_BLOCK));
        const ck_row_act256 *x[CK_ROWS_256_TOKENS];
        for (int t = 0; t < tokens; t++) x[t] = (const ck_row_act256 *)(prepared + (size_t)t * stride) + b;

#if CK_KIND != CK_UNSCALED
        const __m512i bytes = scales4(block);
        __m512i scales[2];
        for (int i = 0; i < 2; i++) {
            __m512i low = CK_KIND == CK_FLAT_MIN ? ck_low_nibbles(bytes) : bytes;
            scales[i] = _mm512_shuffle_epi8(low, orders.scale[i]);
#if CK_KIND == CK_LANE_SCALED
            scales[i] = _mm512_srai_epi32(scales[i], 24);
#elif CK_SIGNED_SCALES
            scales[i] = _mm512_srai_epi16(scales[i], 8);
#endif
        }
#endif
        __m512i total[CK_ROWS_256_TOKENS][4];
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            __m512i q[4];
            decode(block[r], q);
#if CK_KIND == CK_UNSCALED
            for (int t = 0; t < tokens; t++) {
                __m512i sum = _mm512_load_si512(x[t]->offset[0]), more = zero;
                for (int i = 0; i < 2; i++) {
                    sum = _mm512_dpbusd_epi32(sum, q[i], _mm512_load_si512(x[t]->q[i]));
                    more = _mm512_dpbusd_epi32(more, q[2 + i], _mm512_load_si512(x[t]->q[2 + i]));
                }
                total[t][r] = _mm512_add_epi32(sum, more);
            }
#else
            __m512i scale[2];
            for (int i = 0; i < 2; i++) {
#if CK_KIND == CK_LANE_SCALED
                scale[i] = _mm512_permutexvar_epi32(orders.row[r], scales[i]);
#else
                scale[i] = _mm512_permutexvar_epi16(orders.row[r], scales[i]);
#endif
            }
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                __m512i sum = zero, p[4];
                for (int i = 0; i < 4; i++) {
#ifdef CK_OFFSET_SHIFT
                    p[i] = _mm512_load_si512(x[t]->offset[i]);
#else
                    p[i] = zero;
#endif
#if CK_KIND == CK_LANE_SCALED
                    if (i % 2) p[i] = p[i - 1];
#endif
                    p[i] = _mm512_dpbusd_epi32(p[i], q[i], _mm512_load_si512(x[t]->q[i]));
                }
                for (int i = 0; i < 2; i++) {
#if CK_KIND == CK_LANE_SCALED
                    sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(p[2 * i + 1], scale[i]));
#else
                    // Four products of at most 63 * 127 fit 16 bits.
                    __m512i words = _mm512_packs_epi32(p[2 * i], p[2 * i + 1]);
                    sum = _mm512_dpwssd_epi32(sum, words, scale[i]);
#endif
                }
                total[t][r] = sum;
            }
#endif
        }
#ifdef CK_DMIN
        const __m128i apart = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
        const __m256 d = _mm256_cvtph_ps(_mm_shuffle_epi8(ck_load_4_dwords(block, CK_D), apart));
        // The minima of a lane, as words.
        const __mmask64 even = 0x5555555555555555;
#if CK_KIND == CK_FLAT_MIN
        const __m512i high = ck_high_nibbles(bytes);
        const __m512i minima = _mm512_maskz_permutexvar_epi8(even, orders.minimum[0], high);
        const __m512i more_minima = _mm512_maskz_permutexvar_epi8(even, orders.minimum[1], high);
#else
        const __m512i minima = _mm512_maskz_permutexvar_epi8(even, orders.minimum[1], bytes);
#endif
#else
        const __m128 d = load_d_avx2(block);
#endif
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            // Dword r of each lane: a part of row r.
            __m256i sum = ck_fold512(ck_sum_lanes4(total[t][0], total[t][1], total[t][2], total[t][3]));
#ifdef CK_DMIN
            __m512i products = _mm512_dpwssd_epi32(zero, minima, _mm512_load_si512(x[t]->sums[0]));
#if CK_KIND == CK_FLAT_MIN
            products = _mm512_dpwssd_epi32(products, more_minima, _mm512_load_si512(x[t]->sums[1]));
#endif
            __m256i other = ck_fold512(products);
            sum = _mm256_add_epi32(_mm256_permute2x128_si256(sum, other, 0x20),
                                   _mm256_permute2x128_si256(sum, other, 0x31));
            __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(x[t]->d)), value = _mm256_cvtepi32_ps(sum);
            acc[t] = _mm_fmadd_ps(_mm256_castps256_ps128(scale), _mm256_castps256_ps128(value), acc[t]);
            acc[t] = _mm_fnmadd_ps(_mm256_extractf128_ps(scale, 1), _mm256_extractf128_ps(value, 1), acc[t]);
#else
            __m128i whole = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
            acc[t] = _mm_fmadd_ps(_mm_mul_ps(d, _mm_set1_ps(x[t]->d)), _mm_cvtepi32_ps(whole), acc[t]);
#endif
        }
    }
    for (int t = 0; t < tokens; t++) _mm_storeu_ps(out + 4 * t, acc[t]);
}

typedef void (*rows_avx512_fn)(const uint8_t *const row[4], size_t blocks, const uint8_t *prepared, size_t stride,
                               float *out);
#define ROWS(T)                                                                                                       \
    CK_AVX512 static void rows_##T(const uint8_t *const row[4], size_t blocks, const uint8_t *prepared, size_t stride, \
                                   float *out) {                                                                      \
        rows4_avx512(row, blocks, prepared, stride, out, T);                                                          \
    }
ROWS(1)
ROWS(2)
#undef ROWS

// At most CK_ROWS_256_TOKENS tokens.
static void matmul_rows_avx512(const ck_job *job) {
    static const rows_avx512_fn kernels[CK_ROWS_256_TOKENS] = {rows_1, rows_2};
    const size_t blocks = job->cols / 256, stride = blocks * sizeof(ck_row_act256);
    uint8_t *prepared = job->scratch;
    for (size_t t = 0; t < job->tokens; t++) prepare_avx512(ck_job_act(job, t), job->cols, prepared + t * stride);
    for (size_t r = 0; r < job->rows; r += 4) {
        size_t rows = job->rows - r < 4 ? job->rows - r : 4;
        const uint8_t *row[4];
        for (size_t i = 0; i < 4; i++) row[i] = job->w + (r + (i < rows ? i : rows - 1)) * job->row_bytes;
        float out[CK_ROWS_TOKENS][4];
        kernels[job->tokens - 1](row, blocks, prepared, stride, out[0]);
        for (size_t t = 0; t < job->tokens; t++) {
            memcpy(job->y + t * job->y_stride + r, out[t], rows * sizeof(float));
        }
    }
}
