#include "rows.h"

void ck_rows_matmul(const ck_job *job, ck_rows_prepare_fn prepare, const ck_rows_fn kernels[CK_ROWS_TOKENS]) {
    size_t stride = ck_rows_prepared_bytes(job->cols);
    uint8_t *prepared = job->scratch;
    for (size_t t = 0; t < job->tokens; t++) prepare(ck_job_act(job, t), job->cols, prepared + t * stride);
    for (size_t r = 0; r < job->rows; r += 4) {
        size_t rows = job->rows - r < 4 ? job->rows - r : 4;
        const uint8_t *row[4];
        for (size_t i = 0; i < 4; i++) row[i] = job->w + (r + (i < rows ? i : rows - 1)) * job->row_bytes;
        float out[CK_ROWS_TOKENS][4];
        kernels[job->tokens - 1](row, job->cols, prepared, stride, out[0]);
        for (size_t t = 0; t < job->tokens; t++) {
            memcpy(job->y + t * job->y_stride + r, out[t], rows * sizeof(float));
        }
    }
}
