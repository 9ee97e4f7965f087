// Template: the NEON kernels of one 32-value format, with sdot and with smmla. Before including it, a format's file
// defines
//   CK_NEON_BLOCK    its block type
//   CK_NEON_KIND     CK_ONE_SCALE, CK_WITH_MINIMUM or CK_TWO_SCALES
//   decode_neon      void (const uint8_t *block, int8x16_t q[2]); between the two the part, as parts.h says
#include "neon.h"
#include "neon_tiles.h"
#include "parts.h"

// Block b of four rows.
CK_NEON CK_INLINE void decode_block(const uint8_t *const row[4], size_t b, int8x16_t q[4][2], float d[4], float m[4]) {
#pragma clang loop unroll(full)
    for (int r = 0; r < 4; r++) {
        const uint8_t *block = row[r] + b / CK_PARTS * sizeof(CK_NEON_BLOCK);
        ck_unpacked32 scales;
        unpack(CK_WITH_PART(block, b), &scales);
        decode_neon(CK_WITH_PART(block, b), q[r]);
        d[r] = scales.d;
        if (CK_NEON_KIND != CK_ONE_SCALE) m[r] = scales.m;
    }
}

CK_NEON CK_INLINE void rows4_neon(const uint8_t *const row[4], size_t cols, const uint8_t *const *act, float *out,
                                  int tokens) {
    float32x4_t acc[CK_NEON_TOKENS];
    for (int t = 0; t < tokens; t++) acc[t] = vdupq_n_f32(0);
    for (size_t b = 0; b < cols / 32; b++) {
        int8x16_t q[4][2];
        float d[4], m[4];
        decode_block(row, b, q, d, m);
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            ck_act32_row a = ck_act32_view(act[t], cols);
            int8x16_t x0 = vld1q_s8(a.q + 32 * b), x1 = vld1q_s8(a.q + 32 * b + 16);
            int32x4_t sum[4], zero = vdupq_n_s32(0);
            if (CK_NEON_KIND == CK_TWO_SCALES) {
                int32x4_t more[4];
                for (int r = 0; r < 4; r++) sum[r] = vdotq_s32(zero, q[r][0], x0), more[r] = vdotq_s32(zero, q[r][1], x1);
                acc[t] = vfmaq_f32(acc[t], vmulq_n_f32(vld1q_f32(d), a.d[b]), vcvtq_f32_s32(ck_sums_neon(sum)));
                acc[t] = vfmaq_f32(acc[t], vmulq_n_f32(vld1q_f32(m), a.d[b]), vcvtq_f32_s32(ck_sums_neon(more)));
                continue;
            }
#pragma clang loop unroll(full)
            for (int r = 0; r < 4; r++) sum[r] = vdotq_s32(vdotq_s32(zero, q[r][0], x0), q[r][1], x1);
            float32x4_t scale = vmulq_n_f32(vld1q_f32(d), a.d[b]);
            acc[t] = vfmaq_f32(acc[t], scale, vcvtq_f32_s32(ck_sums_neon(sum)));
            if (CK_NEON_KIND == CK_WITH_MINIMUM) acc[t] = vfmaq_f32(acc[t], vld1q_f32(m), vdupq_n_f32(a.s[b]));
        }
    }
    for (int t = 0; t < tokens; t++) vst1q_f32(out + 4 * t, acc[t]);
}

CK_NEON static void tokens_1_neon(const uint8_t *const row[4], size_t n, const uint8_t *const *act, float *out) {
    rows4_neon(row, n, act, out, 1);
}
CK_NEON static void tokens_2_neon(const uint8_t *const row[4], size_t n, const uint8_t *const *act, float *out) {
    rows4_neon(row, n, act, out, 2);
}
CK_NEON static void tokens_3_neon(const uint8_t *const row[4], size_t n, const uint8_t *const *act, float *out) {
    rows4_neon(row, n, act, out, 3);
}
CK_NEON static void tokens_4_neon(const uint8_t *const row[4], size_t n, const uint8_t *const *act, float *out) {
    rows4_neon(row, n, act, out, 4);
}

static void few_tokens_neon(const ck_job *job) {
    static const ck_neon_fn kernels[CK_NEON_TOKENS] = {tokens_1_neon, tokens_2_neon, tokens_3_neon, tokens_4_neon};
    ck_neon_matmul(job, kernels[job->tokens - 1]);
}

// `matrix` is a constant of the caller.
CK_NEON CK_INLINE void decode_rows(const uint8_t *const block[4], size_t blocks, int matrix, ck_tiles_rows32 *out) {
    for (size_t b = 0; b < blocks; b++) {
        int8x16_t q[4][2];
        decode_block(block, b, q, out->d[b], out->m[b]);
#pragma clang loop unroll(full)
        for (int k = 0; k < 2; k++) ck_tiles_store(q[0][k], q[1][k], q[2][k], q[3][k], matrix, out->q[b][k]);
    }
}

CK_NEON static void decode_rows_neon(const uint8_t *const block[4], size_t blocks, ck_tiles_rows32 *out) {
    decode_rows(block, blocks, 0, out);
}
CK_NEON static void decode_rows_i8mm(const uint8_t *const block[4], size_t blocks, ck_tiles_rows32 *out) {
    decode_rows(block, blocks, 1, out);
}

// For as many tokens as fit beside four rows in registers nothing needs to be laid down in memory.
static void matmul_neon(const ck_job *job) {
    if (job->tokens <= CK_NEON_TOKENS) {
        few_tokens_neon(job);
    } else {
        ck_tiles32_neon(job, sizeof(CK_NEON_BLOCK), CK_PARTS, decode_rows_neon, CK_NEON_KIND);
    }
}

static void matmul_i8mm(const ck_job *job) {
    if (job->tokens <= CK_NEON_TOKENS) {
        few_tokens_neon(job);
    } else {
        ck_tiles32_i8mm(job, sizeof(CK_NEON_BLOCK), CK_PARTS, decode_rows_i8mm, CK_NEON_KIND);
    }
}
