// Template: the NEON kernels, with sdot and with smmla, of one 32-value format. Before including it, a format's file defines
//   CK_NEON_BLOCK    its block type
//   CK_NEON_HAS_MIN  1 when it has a minimum
//   decode_neon      void (const uint8_t *block, int8x16_t q[2])
#include "i8mm.h"
#include "neon.h"

CK_NEON CK_INLINE void rows4_neon(const uint8_t *const row[4], size_t cols, const uint8_t *const *act, float *out,
                                  int tokens) {
    float32x4_t acc[CK_NEON_TOKENS];
    for (int t = 0; t < tokens; t++) acc[t] = vdupq_n_f32(0);
    for (size_t b = 0; b < cols / 32; b++) {
        int8x16_t q[4][2];
        float d[4], m[4];
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; r++) {
            const uint8_t *block = row[r] + b * sizeof(CK_NEON_BLOCK);
            ck_unpacked32 scales;
            unpack(block, &scales);
            decode_neon(block, q[r]);
            d[r] = scales.d;
            if (CK_NEON_HAS_MIN) m[r] = scales.m;
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            ck_act32_row a = ck_act32_view(act[t], cols);
            int8x16_t x0 = vld1q_s8(a.q + 32 * b), x1 = vld1q_s8(a.q + 32 * b + 16);
            int32x4_t sum[4];
#pragma clang loop unroll(full)
            for (int r = 0; r < 4; r++) sum[r] = vdotq_s32(vdotq_s32(vdupq_n_s32(0), q[r][0], x0), q[r][1], x1);
            float32x4_t scale = vmulq_n_f32(vld1q_f32(d), a.d[b]);
            acc[t] = vfmaq_f32(acc[t], scale, vcvtq_f32_s32(ck_sums_neon(sum)));
            if (CK_NEON_HAS_MIN) acc[t] = vfmaq_f32(acc[t], vld1q_f32(m), vdupq_n_f32(a.s[b]));
        }
    }
    for (int t = 0; t < tokens; t++) vst1q_f32(out + 4 * t, acc[t]);
}

CK_NEON_KERNELS

CK_NEON static void rows_i8mm(const uint8_t *const block[4], size_t blocks, ck_i8mm_rows32 *out) {
    for (size_t b = 0; b < blocks; b++) {
#pragma clang loop unroll(full)
        for (int p = 0; p < 2; p++) {
            int8x16_t q[2][2];
#pragma clang loop unroll(full)
            for (int i = 0; i < 2; i++) {
                const uint8_t *start = block[2 * p + i] + b * sizeof(CK_NEON_BLOCK);
                ck_unpacked32 scales;
                unpack(start, &scales);
                decode_neon(start, q[i]);
                out->d[b][2 * p + i] = scales.d;
                if (CK_NEON_HAS_MIN) out->m[b][2 * p + i] = scales.m;
            }
#pragma clang loop unroll(full)
            for (int k = 0; k < 2; k++) ck_i8mm_zip(q[0][k], q[1][k], out->q[b][2 * k][p], out->q[b][2 * k + 1][p]);
        }
    }
}

// For as many tokens as sdot takes at once it needs fewer instructions, since nothing is laid down in memory.
static void matmul_i8mm(const ck_job *job) {
    if (job->tokens <= CK_NEON_TOKENS) {
        matmul_neon(job);
    } else {
        ck_i8mm_matmul32(job, sizeof(CK_NEON_BLOCK), rows_i8mm, CK_NEON_HAS_MIN);
    }
}
