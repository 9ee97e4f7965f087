// Template: the NEON kernels, with sdot and with smmla, of one 256-value format. Before including it, a format's file defines
//   CK_NEON_BLOCK    its block type
//   CK_NEON_WIDTH    columns per scale, 16 or 32
//   CK_NEON_HAS_MIN  1 when it has minima
//   unpack_scales    void (const CK_NEON_BLOCK *, ck_unpacked256 *): everything but q, as its `unpack` does
//   decode_neon      void (const uint8_t *block, int8x16_t q[16])
#include "i8mm.h"
#include "neon.h"

CK_NEON CK_INLINE void rows4_neon(const uint8_t *const row[4], size_t cols, const uint8_t *const *act, float *out,
                                  int tokens) {
    float32x4_t acc[CK_NEON_TOKENS];
    for (int t = 0; t < tokens; t++) acc[t] = vdupq_n_f32(0);
    for (size_t b = 0; b < cols / 256; b++) {
        int32x4_t sum[CK_NEON_TOKENS][4], min_sum[CK_NEON_TOKENS][4];
        float d[4], dmin[4];
        for (int r = 0; r < 4; r++) {
            const uint8_t *block = row[r] + b * sizeof(CK_NEON_BLOCK);
            ck_unpacked256 scales;
            int8x16_t q[16];
            unpack_scales((const CK_NEON_BLOCK *)block, &scales);
            decode_neon(block, q);
            d[r] = scales.d;
            if (CK_NEON_HAS_MIN) dmin[r] = scales.dmin;
            for (int t = 0; t < tokens; t++) {
                ck_act256_row a = ck_act256_view(act[t], cols);
                const int8_t *x = a.q + 256 * b;
                int32x4_t total = vdupq_n_s32(0);
#pragma clang loop unroll(full)
                for (int g = 0; g < 16; g += CK_NEON_WIDTH / 16) {
                    int32x4_t dot = vdotq_s32(vdupq_n_s32(0), q[g], vld1q_s8(x + 16 * g));
                    if (CK_NEON_WIDTH == 32) dot = vdotq_s32(dot, q[g + 1], vld1q_s8(x + 16 * g + 16));
                    total = vmlaq_n_s32(total, dot, scales.scale[g]);
                }
                sum[t][r] = total;
                if (CK_NEON_HAS_MIN) {
                    int32x4_t minima = vdupq_n_s32(0);
#pragma clang loop unroll(full)
                    for (int g = 0; g < 16; g += 4) {
                        minima = vmlal_s16(minima, vld1_s16(scales.min + g), vld1_s16(a.g[b].sum16 + g));
                    }
                    min_sum[t][r] = minima;
                }
            }
        }
        for (int t = 0; t < tokens; t++) {
            float act_d = ck_act256_view(act[t], cols).g[b].d;
            float32x4_t scale = vmulq_n_f32(vld1q_f32(d), act_d);
            acc[t] = vfmaq_f32(acc[t], scale, vcvtq_f32_s32(ck_sums_neon(sum[t])));
            if (CK_NEON_HAS_MIN) {
                scale = vmulq_n_f32(vld1q_f32(dmin), act_d);
                acc[t] = vfmsq_f32(acc[t], scale, vcvtq_f32_s32(ck_sums_neon(min_sum[t])));
            }
        }
    }
    for (int t = 0; t < tokens; t++) vst1q_f32(out + 4 * t, acc[t]);
}

CK_NEON_KERNELS

CK_NEON static void rows_i8mm(const uint8_t *const block[4], ck_i8mm_rows256 *out) {
    int16_t scale[4][16], min[4][16];
#pragma clang loop unroll(full)
    for (int p = 0; p < 2; p++) {
        int8x16_t q[2][16];
#pragma clang loop unroll(full)
        for (int i = 0; i < 2; i++) {
            int r = 2 * p + i;
            ck_unpacked256 scales;
            unpack_scales((const CK_NEON_BLOCK *)block[r], &scales);
            decode_neon(block[r], q[i]);
            memcpy(scale[r], scales.scale, sizeof scale[r]);
            out->d[r] = scales.d;
            if (!CK_NEON_HAS_MIN) continue;
            memcpy(min[r], scales.min, sizeof min[r]);
            out->dmin[r] = scales.dmin;
        }
#pragma clang loop unroll(full)
        for (int k = 0; k < 16; k++) ck_i8mm_zip(q[0][k], q[1][k], out->q[2 * k][p], out->q[2 * k + 1][p]);
    }
    ck_i8mm_store_scales(scale, CK_NEON_WIDTH, out->scale);
    if (CK_NEON_HAS_MIN) ck_i8mm_store_minima(min, CK_NEON_WIDTH, out->min);
}

// One token has no partner to share a register with.
static void matmul_i8mm(const ck_job *job) {
    if (job->tokens == 1) {
        matmul_neon(job);
    } else {
        ck_i8mm_matmul256(job, sizeof(CK_NEON_BLOCK), rows_i8mm, CK_NEON_WIDTH, CK_NEON_HAS_MIN);
    }
}
