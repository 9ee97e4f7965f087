// The products behind i8mm.h. Sums of two tokens and two rows share a register: [token 0 row 0, token 0 row 1,
// token 1 row 0, token 1 row 1].
#include "i8mm.h"

#if defined(CK_ARM)

#define PAIRS (CK_I8MM_TOKENS / 2)
// Pairs of tokens whose sums with four rows stay in registers.
#define TILE 4

// Activations of two tokens. q[k] is columns 8 k to 8 k + 7 of the first, then of the second. Sums per group of columns
// do not fit a byte: they are 128 * high + low. d[i] and s[i] belong to token i / 2.
typedef struct pair256 {
    int8_t q[32][16];
    int8_t low[2][16], high[2][16];
    float d[4];
} pair256;

typedef struct pair32 {
    int8_t q[4][16];
    float d[4], s[4];
} pair32;

_Static_assert(sizeof(pair256) <= 8 * sizeof(pair32), "ck_i8mm_scratch_bytes");

size_t ck_i8mm_scratch_bytes(size_t cols) { return PAIRS * ck_round_up(cols, 256) / 32 * sizeof(pair32); }

CK_I8MM CK_INLINE float32x4_t each_twice(float a, float b) {
    return vcombine_f32(vdup_n_f32(a), vdup_n_f32(b));
}

// Two values of rows, for both tokens.
CK_I8MM CK_INLINE float32x4_t floats_for_both(const float *p) { return vcombine_f32(vld1_f32(p), vld1_f32(p)); }
CK_I8MM CK_INLINE int32x4_t ints_for_both(const int32_t *p) { return vcombine_s32(vld1_s32(p), vld1_s32(p)); }

CK_I8MM static void pack_pair256(const uint8_t *const act[2], size_t cols, size_t b, int width, pair256 *out) {
    const ck_act256_row x[2] = {ck_act256_view(act[0], cols), ck_act256_view(act[1], cols)};
    for (int k = 0; k < 16; k++) {
        size_t at = 256 * b + 16 * (size_t)k;
        ck_i8mm_zip(vld1q_s8(x[0].q + at), vld1q_s8(x[1].q + at), out->q[2 * k], out->q[2 * k + 1]);
    }
    for (int k = 0; k < (width == 16 ? 2 : 1); k++) {
        int8x8_t low[2], high[2];
        for (int i = 0; i < 2; i++) {
            const ck_act256 *g = x[i].g + b;
            int16x8_t sums = vld1q_s16((width == 16 ? g->sum16 : g->sum32) + 8 * k);
            low[i] = vmovn_s16(vandq_s16(sums, vdupq_n_s16(127)));
            high[i] = vshrn_n_s16(sums, 7);
        }
        vst1q_s8(out->low[k], vcombine_s8(low[0], low[1]));
        vst1q_s8(out->high[k], vcombine_s8(high[0], high[1]));
    }
    vst1q_f32(out->d, each_twice(x[0].g[b].d, x[1].g[b].d));
}

CK_I8MM static void pack_pair32(const uint8_t *const act[2], size_t cols, size_t b, pair32 *out) {
    const ck_act32_row x[2] = {ck_act32_view(act[0], cols), ck_act32_view(act[1], cols)};
    for (int k = 0; k < 2; k++) {
        size_t at = 32 * b + 16 * (size_t)k;
        ck_i8mm_zip(vld1q_s8(x[0].q + at), vld1q_s8(x[1].q + at), out->q[2 * k], out->q[2 * k + 1]);
    }
    vst1q_f32(out->d, each_twice(x[0].d[b], x[1].d[b]));
    vst1q_f32(out->s, each_twice(x[0].s[b], x[1].s[b]));
}

// acc[pair][rows 0 and 1, rows 2 and 3] += one block of 256 columns.
CK_I8MM CK_INLINE void tile256(const ck_i8mm_rows256 *w, const pair256 *x, float32x4_t (*acc)[2], int pairs, int width,
                               int has_min) {
    int32x4_t total[TILE][2];
#pragma clang loop unroll(full)
    for (int p = 0; p < pairs; p++) total[p][0] = total[p][1] = vdupq_n_s32(0);
#pragma clang loop unroll(disable)
    for (int g = 0; g < 256 / width; g++) {
        int32x4_t dot[TILE][2];
#pragma clang loop unroll(full)
        for (int p = 0; p < pairs; p++) dot[p][0] = dot[p][1] = vdupq_n_s32(0);
#pragma clang loop unroll(full)
        for (int i = 0; i < width / 8; i++) {
            int k = g * width / 8 + i;
            int8x16_t w0 = vld1q_s8(w->q[k][0]), w1 = vld1q_s8(w->q[k][1]);
#pragma clang loop unroll(full)
            for (int p = 0; p < pairs; p++) {
                int8x16_t a = vld1q_s8(x[p].q[k]);
                dot[p][0] = vmmlaq_s32(dot[p][0], a, w0);
                dot[p][1] = vmmlaq_s32(dot[p][1], a, w1);
            }
        }
        int32x4_t scale0 = ints_for_both(w->scale[g]), scale1 = ints_for_both(w->scale[g] + 2);
#pragma clang loop unroll(full)
        for (int p = 0; p < pairs; p++) {
            total[p][0] = vmlaq_s32(total[p][0], dot[p][0], scale0);
            total[p][1] = vmlaq_s32(total[p][1], dot[p][1], scale1);
        }
    }
#pragma clang loop unroll(full)
    for (int p = 0; p < pairs; p++) {
        float32x4_t act_d = vld1q_f32(x[p].d);
#pragma clang loop unroll(full)
        for (int i = 0; i < 2; i++) {
            float32x4_t scale = vmulq_f32(floats_for_both(w->d + 2 * i), act_d);
            acc[p][i] = vfmaq_f32(acc[p][i], scale, vcvtq_f32_s32(total[p][i]));
            if (!has_min) continue;
            int32x4_t minima = vdupq_n_s32(0);
#pragma clang loop unroll(full)
            for (int k = 0; k < 32 / width; k++) {
                minima = vmmlaq_s32(minima, vld1q_s8(x[p].high[k]), vld1q_s8(w->min[k][i]));
            }
            minima = vshlq_n_s32(minima, 7);
#pragma clang loop unroll(full)
            for (int k = 0; k < 32 / width; k++) {
                minima = vmmlaq_s32(minima, vld1q_s8(x[p].low[k]), vld1q_s8(w->min[k][i]));
            }
            scale = vmulq_f32(floats_for_both(w->dmin + 2 * i), act_d);
            acc[p][i] = vfmsq_f32(acc[p][i], scale, vcvtq_f32_s32(minima));
        }
    }
}

// acc[pair][rows 0 and 1, rows 2 and 3] += some blocks of 32 columns. Pairs of one block adjoin, `stride` of them.
CK_I8MM CK_INLINE void tile32(const ck_i8mm_rows32 *w, size_t blocks, const pair32 *x, size_t stride,
                              float32x4_t (*acc)[2], int pairs, int has_min) {
    float32x4_t sum[TILE][2];
#pragma clang loop unroll(full)
    for (int p = 0; p < pairs; p++) sum[p][0] = acc[p][0], sum[p][1] = acc[p][1];
    for (size_t b = 0; b < blocks; b++, x += stride) {
        int32x4_t dot[TILE][2];
#pragma clang loop unroll(full)
        for (int p = 0; p < pairs; p++) dot[p][0] = dot[p][1] = vdupq_n_s32(0);
#pragma clang loop unroll(full)
        for (int k = 0; k < 4; k++) {
            int8x16_t w0 = vld1q_s8(w->q[b][k][0]), w1 = vld1q_s8(w->q[b][k][1]);
#pragma clang loop unroll(full)
            for (int p = 0; p < pairs; p++) {
                int8x16_t a = vld1q_s8(x[p].q[k]);
                dot[p][0] = vmmlaq_s32(dot[p][0], a, w0);
                dot[p][1] = vmmlaq_s32(dot[p][1], a, w1);
            }
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < 2; i++) {
            float32x4_t d = floats_for_both(w->d[b] + 2 * i);
#pragma clang loop unroll(full)
            for (int p = 0; p < pairs; p++) {
                float32x4_t scale = vmulq_f32(d, vld1q_f32(x[p].d));
                sum[p][i] = vfmaq_f32(sum[p][i], scale, vcvtq_f32_s32(dot[p][i]));
                if (has_min) sum[p][i] = vfmaq_f32(sum[p][i], floats_for_both(w->m[b] + 2 * i), vld1q_f32(x[p].s));
            }
        }
    }
#pragma clang loop unroll(full)
    for (int p = 0; p < pairs; p++) acc[p][0] = sum[p][0], acc[p][1] = sum[p][1];
}

// All pairs of tokens in tiles; the kinds are constants of the caller.
CK_I8MM CK_INLINE void multiply256(const ck_i8mm_rows256 *w, const pair256 *x, size_t pairs, float32x4_t (*acc)[2],
                                   int width, int has_min) {
    size_t p = 0;
    for (; p + TILE <= pairs; p += TILE) tile256(w, x + p, acc + p, TILE, width, has_min);
    if (p + 2 <= pairs) tile256(w, x + p, acc + p, 2, width, has_min), p += 2;
    if (p < pairs) tile256(w, x + p, acc + p, 1, width, has_min);
}

CK_I8MM CK_INLINE void multiply32(const ck_i8mm_rows32 *w, size_t blocks, const pair32 *x, size_t pairs,
                                  float32x4_t (*acc)[2], int has_min) {
    size_t p = 0;
    for (; p + TILE <= pairs; p += TILE) tile32(w, blocks, x + p, pairs, acc + p, TILE, has_min);
    if (p + 2 <= pairs) tile32(w, blocks, x + p, pairs, acc + p, 2, has_min), p += 2;
    if (p < pairs) tile32(w, blocks, x + p, pairs, acc + p, 1, has_min);
}

typedef void (*multiply256_fn)(const ck_i8mm_rows256 *w, const pair256 *x, size_t pairs, float32x4_t (*acc)[2]);
typedef void (*multiply32_fn)(const ck_i8mm_rows32 *w, size_t blocks, const pair32 *x, size_t pairs,
                              float32x4_t (*acc)[2]);

#define MULTIPLY256(NAME, WIDTH, HAS_MIN)                                                                             \
    CK_I8MM static void NAME(const ck_i8mm_rows256 *w, const pair256 *x, size_t pairs, float32x4_t (*acc)[2]) {       \
        multiply256(w, x, pairs, acc, WIDTH, HAS_MIN);                                                                \
    }
MULTIPLY256(multiply256_16, 16, 0)
MULTIPLY256(multiply256_16_min, 16, 1)
MULTIPLY256(multiply256_32, 32, 0)
MULTIPLY256(multiply256_32_min, 32, 1)

#define MULTIPLY32(NAME, HAS_MIN)                                                                                     \
    CK_I8MM static void NAME(const ck_i8mm_rows32 *w, size_t blocks, const pair32 *x, size_t pairs,                   \
                             float32x4_t (*acc)[2]) {                                                                 \
        multiply32(w, blocks, x, pairs, acc, HAS_MIN);                                                                \
    }
MULTIPLY32(multiply32_plain, 0)
MULTIPLY32(multiply32_min, 1)

// Tokens [first, first + tokens) of a job, in pairs; the partner of an odd last one is itself.
typedef struct part {
    const uint8_t *act[PAIRS][2];
    size_t first, tokens, pairs;
} part;

// The next part of a job's tokens: parts are as equal as they can be.
static part next_part(const ck_job *job, size_t first) {
    size_t left = job->tokens - first, parts = (left + CK_I8MM_TOKENS - 1) / CK_I8MM_TOKENS;
    part next = {.first = first, .tokens = ck_round_up((left + parts - 1) / parts, 2)};
    if (next.tokens > left) next.tokens = left;
    next.pairs = (next.tokens + 1) / 2;
    for (size_t i = 0; i < 2 * next.pairs; i++) {
        next.act[i / 2][i % 2] = ck_job_act(job, first + (i < next.tokens ? i : next.tokens - 1));
    }
    return next;
}

// Where four rows from `row` on begin; past the last row, that one again. Returns how many there are.
static size_t four_rows(const ck_job *job, size_t row, const uint8_t *start[4]) {
    size_t rows = job->rows - row < 4 ? job->rows - row : 4;
    for (size_t i = 0; i < 4; i++) start[i] = job->w + (row + (i < rows ? i : rows - 1)) * job->row_bytes;
    return rows;
}

CK_I8MM static void store(const ck_job *job, const part *tokens, size_t row, size_t rows, float32x4_t (*acc)[2]) {
    for (size_t t = 0; t < tokens->tokens; t++) {
        float64x2_t a = vreinterpretq_f64_f32(acc[t / 2][0]), b = vreinterpretq_f64_f32(acc[t / 2][1]);
        float64x2_t four = t % 2 ? vzip2q_f64(a, b) : vzip1q_f64(a, b);
        float *y = job->y + (tokens->first + t) * job->y_stride + row;
        memcpy(y, &four, rows * sizeof(float));
    }
}

void ck_i8mm_matmul256(const ck_job *job, size_t block_bytes, ck_i8mm_decode256_fn decode, int width, int has_min) {
    const multiply256_fn multiply = width == 16 ? (has_min ? multiply256_16_min : multiply256_16)
                                                : (has_min ? multiply256_32_min : multiply256_32);
    const size_t blocks = job->cols / 256;
    pair256 *x = job->scratch;
    for (size_t first = 0; first < job->tokens;) {
        const part tokens = next_part(job, first);
        for (size_t b = 0; b < blocks; b++) {
            for (size_t p = 0; p < tokens.pairs; p++) {
                pack_pair256(tokens.act[p], job->cols, b, width, x + b * tokens.pairs + p);
            }
        }
        for (size_t r = 0; r < job->rows; r += 4) {
            const uint8_t *row[4];
            const size_t rows = four_rows(job, r, row);
            float32x4_t acc[PAIRS][2];
            memset(acc, 0, tokens.pairs * sizeof acc[0]);
            for (size_t b = 0; b < blocks; b++) {
                ck_i8mm_rows256 w;
                decode(row, &w);
                multiply(&w, x + b * tokens.pairs, tokens.pairs, acc);
                for (int i = 0; i < 4; i++) row[i] += block_bytes;
            }
            store(job, &tokens, r, rows, acc);
        }
        first += tokens.tokens;
    }
}

void ck_i8mm_matmul32(const ck_job *job, size_t block_bytes, ck_i8mm_decode32_fn decode, int has_min) {
    const multiply32_fn multiply = has_min ? multiply32_min : multiply32_plain;
    const size_t blocks = job->cols / 32;
    pair32 *x = job->scratch;
    for (size_t first = 0; first < job->tokens;) {
        const part tokens = next_part(job, first);
        for (size_t b = 0; b < blocks; b++) {
            for (size_t p = 0; p < tokens.pairs; p++) {
                pack_pair32(tokens.act[p], job->cols, b, x + b * tokens.pairs + p);
            }
        }
        for (size_t r = 0; r < job->rows; r += 4) {
            const uint8_t *row[4];
            const size_t rows = four_rows(job, r, row);
            float32x4_t acc[PAIRS][2];
            memset(acc, 0, tokens.pairs * sizeof acc[0]);
            for (size_t b = 0; b < blocks; b += CK_I8MM_BLOCKS) {
                const size_t count = blocks - b < CK_I8MM_BLOCKS ? blocks - b : CK_I8MM_BLOCKS;
                ck_i8mm_rows32 w;
                decode(row, count, &w);
                multiply(&w, count, x + b * tokens.pairs, tokens.pairs, acc);
                for (int i = 0; i < 4; i++) row[i] += count * block_bytes;
            }
            store(job, &tokens, r, rows, acc);
        }
        first += tokens.tokens;
    }
}
#endif
