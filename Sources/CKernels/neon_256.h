// Template: the NEON kernels of one 256-value format, with sdot and with smmla. Before including it, a format's file
// defines
//   CK_NEON_BLOCK    its block type
//   CK_NEON_WIDTH    columns per scale, 16 or 32
//   CK_NEON_HAS_MIN  1 when it has minima
//   unpack_scales    void (const CK_NEON_BLOCK *, ck_unpacked256 *): everything but q, as its `unpack` does
//   decode_neon      void (const uint8_t *block, int8x16_t q[16])
#include "neon.h"
#include "neon_tiles.h"

CK_NEON static void one_token_neon(const uint8_t *const row[4], size_t cols, const uint8_t *const *act, float *out) {
    const ck_act256_row a = ck_act256_view(act[0], cols);
    float32x4_t acc = vdupq_n_f32(0);
    for (size_t b = 0; b < cols / 256; b++) {
        const int8_t *x = a.q + 256 * b;
        int32x4_t sum[4], min_sum[4];
        float d[4], dmin[4];
        for (int r = 0; r < 4; r++) {
            const uint8_t *block = row[r] + b * sizeof(CK_NEON_BLOCK);
            ck_unpacked256 scales;
            int8x16_t q[16];
            unpack_scales((const CK_NEON_BLOCK *)block, &scales);
            decode_neon(block, q);
            d[r] = scales.d;
            sum[r] = vdupq_n_s32(0);
#pragma clang loop unroll(full)
            for (int g = 0; g < 16; g += CK_NEON_WIDTH / 16) {
                int32x4_t dot = vdotq_s32(vdupq_n_s32(0), q[g], vld1q_s8(x + 16 * g));
                if (CK_NEON_WIDTH == 32) dot = vdotq_s32(dot, q[g + 1], vld1q_s8(x + 16 * g + 16));
                sum[r] = vmlaq_n_s32(sum[r], dot, scales.scale[g]);
            }
            if (!CK_NEON_HAS_MIN) continue;
            dmin[r] = scales.dmin;
            min_sum[r] = vdupq_n_s32(0);
#pragma clang loop unroll(full)
            for (int g = 0; g < 16; g += 4) {
                min_sum[r] = vmlal_s16(min_sum[r], vld1_s16(scales.min + g), vld1_s16(a.g[b].sum16 + g));
            }
        }
        float32x4_t scale = vmulq_n_f32(vld1q_f32(d), a.g[b].d);
        acc = vfmaq_f32(acc, scale, vcvtq_f32_s32(ck_sums_neon(sum)));
        if (CK_NEON_HAS_MIN) {
            scale = vmulq_n_f32(vld1q_f32(dmin), a.g[b].d);
            acc = vfmsq_f32(acc, scale, vcvtq_f32_s32(ck_sums_neon(min_sum)));
        }
    }
    vst1q_f32(out, acc);
}

// `matrix` is a constant of the caller.
CK_NEON CK_INLINE void decode_rows(const uint8_t *const block[4], int matrix, ck_tiles_rows256 *out) {
    int16_t scale[4][16], min[4][16];
    int8x16_t q[4][16];
#pragma clang loop unroll(full)
    for (int r = 0; r < 4; r++) {
        ck_unpacked256 scales;
        unpack_scales((const CK_NEON_BLOCK *)block[r], &scales);
        decode_neon(block[r], q[r]);
        memcpy(scale[r], scales.scale, sizeof scale[r]);
        out->d[r] = scales.d;
        if (!CK_NEON_HAS_MIN) continue;
        memcpy(min[r], scales.min, sizeof min[r]);
        out->dmin[r] = scales.dmin;
    }
#pragma clang loop unroll(full)
    for (int k = 0; k < 16; k++) ck_tiles_store(q[0][k], q[1][k], q[2][k], q[3][k], matrix, out->q[k]);
    ck_tiles_store_scales(scale, CK_NEON_WIDTH, out->scale);
    if (CK_NEON_HAS_MIN) ck_tiles_store_minima(min, CK_NEON_WIDTH, matrix, out->min);
}

CK_NEON static void decode_rows_neon(const uint8_t *const block[4], ck_tiles_rows256 *out) {
    decode_rows(block, 0, out);
}
CK_NEON static void decode_rows_i8mm(const uint8_t *const block[4], ck_tiles_rows256 *out) {
    decode_rows(block, 1, out);
}

static void matmul_neon(const ck_job *job) {
    if (job->tokens == 1) {
        ck_neon_matmul(job, one_token_neon);
    } else {
        ck_tiles256_neon(job, sizeof(CK_NEON_BLOCK), decode_rows_neon, CK_NEON_WIDTH, CK_NEON_HAS_MIN);
    }
}

static void matmul_i8mm(const ck_job *job) {
    if (job->tokens == 1) {
        ck_neon_matmul(job, one_token_neon);
    } else {
        ck_tiles256_i8mm(job, sizeof(CK_NEON_BLOCK), decode_rows_i8mm, CK_NEON_WIDTH, CK_NEON_HAS_MIN);
    }
}
