// From ckfloat.h to the chosen instruction set.
#include "float_table.h"

#include <math.h>

static inline const ck_float_table *table(void) {
#if defined(__x86_64__)
    switch (ck_isa_selected()) {
    case CK_ISA_AVX512: return &ck_float_avx512;
    case CK_ISA_AVX2: return &ck_float_avx2;
    default: break;
    }
#endif
    return &ck_float_scalar;
}

void ck_add(float *y, const float *x, size_t n) { table()->add(y, x, n); }
void ck_scale(float *y, const float *x, float s, size_t n) { table()->scale(y, x, s, n); }
void ck_add_scaled(float *y, const float *x, float a, size_t n) { table()->add_scaled(y, x, a, n); }
void ck_mul_sigmoid(float *x, const float *gate, size_t n) { table()->mul_sigmoid(x, gate, n); }
void ck_unary_apply(ck_unary kind, const float *x, size_t n, float *y) { table()->unary(kind, x, n, y); }

float ck_sigmoid(float x) {
    float y;
    table()->unary(CK_SIGMOID, &x, 1, &y);
    return y;
}

void ck_glu_apply(ck_glu kind, const float *gate, const float *up, size_t n, float alpha, float limit, float *y) {
    table()->glu(kind, gate, up, n, alpha, limit, y);
}

void ck_rms_norm(const float *x, const float *w, size_t n, float eps, float *y) {
    table()->rms_norm(x, w, n, eps, y);
}

void ck_layer_norm(const float *x, const float *w, const float *b, size_t n, float eps, float *y) {
    table()->layer_norm(x, w, b, n, eps, y);
}

void ck_rms_norm_gated(const float *x, const float *w, const float *z, size_t n, float eps, int sigmoid, float *y) {
    table()->rms_norm_gated(x, w, z, n, eps, sigmoid, y);
}

void ck_l2_norm(const float *x, size_t n, float eps, float scale, float *y) {
    table()->l2_norm(x, n, eps, scale, y);
}

void ck_softmax(float *x, size_t n) { table()->softmax(x, n); }

void ck_rope_angles(double position, const double *frequency, size_t pairs, double amplitude, float *cosines,
                    float *sines) {
    table()->rope_angles(position, frequency, pairs, amplitude, cosines, sines);
}

void ck_rope(float *x, size_t pairs, int interleaved, const float *cosines, const float *sines) {
    table()->rope(x, pairs, interleaved, cosines, sines);
}

void ck_kv_store(const ck_kv *kv, size_t head, size_t position, const float *key, const float *value,
                 size_t value_floats) {
    table()->kv_store(kv, head, position, key, value, value_floats);
}

size_t ck_attention_row_floats(const ck_kv *kv) { return 16 + kv->value_dim; }

size_t ck_attention_scratch_bytes(const ck_kv *kv, size_t rows) { return table()->attention_scratch_bytes(kv, rows); }

void ck_attention_queries(const ck_attention_tile *tile, void *scratch) { table()->attention_queries(tile, scratch); }

void ck_attention_block(const ck_attention_tile *tile, size_t block, float *rows, void *scratch) {
    table()->attention_block(tile, block, rows, scratch);
}

void ck_attention_start(float *row, size_t value_dim) {
    row[0] = -INFINITY;
    row[1] = 0;
    for (size_t i = 0; i < value_dim; i++) row[16 + i] = 0;
}

void ck_attention_merge(float *row, const float *block_row, size_t value_dim) {
    table()->attention_merge(row, block_row, value_dim);
}

void ck_attention_finish(const float *row, size_t value_dim, const float *sink, size_t out_floats, float *out) {
    table()->attention_finish(row, value_dim, sink, out_floats, out);
}

void ck_causal_conv(const float *x, size_t x_stride, size_t tokens, size_t channels, const float *w,
                    size_t w_stride, size_t taps, const float *bias, int silu, float *history,
                    size_t history_stride, float *y, size_t y_stride) {
    table()->causal_conv(x, x_stride, tokens, channels, w, w_stride, taps, bias, silu, history, history_stride, y,
                         y_stride);
}

void ck_delta_gates(float *alpha, float *beta, const float *a, const float *dt, size_t n) {
    table()->delta_gates(alpha, beta, a, dt, n);
}

void ck_delta_run(const ck_delta_block *block) { table()->delta_run(block); }

void ck_mul(float *x, const float *y, size_t n) { table()->mul(x, y, n); }
void ck_mamba_run(const ck_mamba_block *block) { table()->mamba_run(block); }
void ck_selective_run(const ck_selective_block *block) { table()->selective_run(block); }

void ck_channel_gates(float *decay, const float *k, float a, const float *dt, float least, size_t n,
                      float *decayed) {
    table()->channel_gates(decay, k, a, dt, least, n, decayed);
}

void ck_channel_delta_run(const ck_channel_delta_block *block) { table()->channel_delta_run(block); }

void ck_latent_store(const ck_latent *cache, size_t position, const float *latent, const float *tail,
                     size_t tail_floats) {
    table()->latent_store(cache, position, latent, tail, tail_floats);
}

// Scores of every row, and one block of chosen rows of the cache.
size_t ck_latent_scratch_bytes(const ck_latent *cache, size_t rows, int chosen) {
    return rows * CK_ATTENTION_BLOCK * sizeof(float) + (chosen ? CK_ATTENTION_BLOCK * cache->row_bytes : 0);
}

void ck_latent_block(const ck_latent_tile *tile, size_t block, float *rows, void *scratch) {
    table()->latent_block(tile, block, rows, scratch);
}

// Products of as many heads as the widest variant takes at once, and those heads' queries.
size_t ck_index_scratch_bytes(const ck_kv *keys) {
    return (8 * CK_ATTENTION_BLOCK + keys->key_dim * 8) * sizeof(float);
}

void ck_index_block(const ck_kv *keys, size_t block, size_t count, const float *q, size_t q_head_stride,
                    const float *weights, size_t heads, float *scores, void *scratch) {
    table()->index_block(keys, block, count, q, q_head_stride, weights, heads, scores, scratch);
}

void ck_top_k(const float *values, size_t n, size_t k, int32_t *chosen) { table()->top_k(values, n, k, chosen); }
