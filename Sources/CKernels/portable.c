#include "portable.h"

static void clear(const ck_job *job, size_t row) {
    for (size_t t = 0; t < job->tokens; t++) job->y[t * job->y_stride + row] = 0.0f;
}

static int32_t dot(const int8_t *a, const int8_t *b, int n) {
    int32_t sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

void ck_portable_matmul32(const ck_job *job, size_t block_bytes, size_t parts, ck_unpack32_fn unpack, int kind) {
    for (size_t r = 0; r < job->rows; r++) {
        clear(job, r);
        for (size_t b = 0; b < job->cols / 32; b++) {
            ck_unpacked32 block;
            unpack(job->w + r * job->row_bytes + b / parts * block_bytes, b % parts, &block);
            for (size_t t = 0; t < job->tokens; t++) {
                ck_act32_row act = ck_act32_view(ck_job_act(job, t), job->cols);
                float *acc = &job->y[t * job->y_stride + r];
                if (kind == CK_TWO_SCALES) {
                    *acc = fmaf(block.d * act.d[b], (float)dot(block.q, act.q + 32 * b, 16), *acc);
                    *acc = fmaf(block.m * act.d[b], (float)dot(block.q + 16, act.q + 32 * b + 16, 16), *acc);
                    continue;
                }
                *acc = fmaf(block.d * act.d[b], (float)dot(block.q, act.q + 32 * b, 32), *acc);
                if (kind == CK_WITH_MINIMUM) *acc = fmaf(block.m, act.s[b], *acc);
            }
        }
    }
}

void ck_portable_matmul256(const ck_job *job, size_t block_bytes, ck_unpack256_fn unpack, int has_min) {
    for (size_t r = 0; r < job->rows; r++) {
        clear(job, r);
        for (size_t b = 0; b < job->cols / 256; b++) {
            ck_unpacked256 block;
            unpack(job->w + r * job->row_bytes + b * block_bytes, &block);
            for (size_t t = 0; t < job->tokens; t++) {
                ck_act256_row act = ck_act256_view(ck_job_act(job, t), job->cols);
                float *acc = &job->y[t * job->y_stride + r];
                int32_t sum = 0, min_sum = 0;
                for (int i = 0; i < 16; i++) {
                    sum += block.scale[i] * dot(block.q + 16 * i, act.q + 256 * b + 16 * i, 16);
                    min_sum += block.min[i] * act.g[b].sum16[i];
                }
                *acc = fmaf(block.d * act.g[b].d, (float)sum, *acc);
                if (has_min) *acc = fmaf(-(block.dmin * act.g[b].d), (float)min_sum, *acc);
            }
        }
    }
}

void ck_portable_dequantize32(const void *w, size_t cols, float *out, size_t block_bytes, size_t parts,
                              ck_unpack32_fn unpack, int kind) {
    for (size_t b = 0; b < cols / 32; b++) {
        ck_unpacked32 block;
        unpack((const uint8_t *)w + b / parts * block_bytes, b % parts, &block);
        for (int i = 0; i < 32; i++) {
            float value = (kind == CK_TWO_SCALES && i >= 16 ? block.m : block.d) * (float)block.q[i];
            out[32 * b + i] = kind == CK_WITH_MINIMUM ? value + block.m : value;
        }
    }
}

void ck_portable_dequantize256(const void *w, size_t cols, float *out, size_t block_bytes, ck_unpack256_fn unpack,
                               int has_min) {
    for (size_t b = 0; b < cols / 256; b++) {
        ck_unpacked256 block;
        unpack((const uint8_t *)w + b * block_bytes, &block);
        for (int i = 0; i < 256; i++) {
            float value = block.d * (float)block.scale[i / 16] * (float)block.q[i];
            out[256 * b + i] = has_min ? value - block.dmin * (float)block.min[i / 16] : value;
        }
    }
}
