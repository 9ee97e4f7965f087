#include "portable.h"

void ck_portable_matmul32(const ck_job *job, size_t block_bytes, ck_unpack32_fn unpack, int has_min) {
    for (size_t r = 0; r < job->rows; r++) {
        const uint8_t *w = job->w + r * job->row_bytes;
        for (size_t t = 0; t < job->tokens; t++) job->y[t * job->y_stride + r] = 0.0f;
        for (size_t b = 0; b < job->cols / 32; b++) {
            ck_unpacked32 block;
            unpack(w + b * block_bytes, &block);
            for (size_t t = 0; t < job->tokens; t++) {
                ck_act32_row act = ck_act32_view(ck_job_act(job, t), job->cols);
                const int8_t *q = act.q + 32 * b;
                int32_t sum = 0;
                for (int i = 0; i < 32; i++) sum += block.q[i] * q[i];
                float *y = &job->y[t * job->y_stride + r];
                float acc = fmaf(block.d * act.d[b], (float)sum, *y);
                if (has_min) acc = fmaf(block.m, act.s[b], acc);
                *y = acc;
            }
        }
    }
}

void ck_portable_dequantize32(const void *w, size_t cols, float *out, size_t block_bytes, ck_unpack32_fn unpack,
                              int has_min) {
    const uint8_t *p = w;
    for (size_t b = 0; b < cols / 32; b++) {
        ck_unpacked32 block;
        unpack(p + b * block_bytes, &block);
        for (int i = 0; i < 32; i++) {
            float value = block.d * (float)block.q[i];
            out[32 * b + i] = has_min ? value + block.m : value;
        }
    }
}
