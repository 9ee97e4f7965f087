// Float helpers: norms, activations, rotary embedding, attention, convolution, the gated delta rule.
//
// Every function gives the same bits on every instruction set. The code is written once, with vectors of 16
// floats and explicit fused multiply-adds, and compiled for each of them. A sum over n values is always taken
// in 16 lanes (lane l: rising indices = l mod 16), then lanes i + (i + 8), i + (i + 4), i + (i + 2), i + (i + 1).
#ifndef CKFLOAT_H
#define CKFLOAT_H

#include <stddef.h>
#include <stdint.h>

// Tells the processor that this thread is spinning.
static inline void ck_cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// ---- one row of values ----

// y = x + y, y = s x, y += a x. x and y may be the same.
void ck_add(float *y, const float *x, size_t n);
void ck_scale(float *y, const float *x, float s, size_t n);
void ck_add_scaled(float *y, const float *x, float a, size_t n);
// x *= sigmoid(gate)
void ck_mul_sigmoid(float *x, const float *gate, size_t n);

// Elementwise functions, error bounds in units in the last place (measured against double, see float_math.inc).
typedef enum ck_unary {
    CK_EXP = 0,       // below -86.5: 0
    CK_SIGMOID = 1,
    CK_SILU = 2,      // x sigmoid(x)
    CK_SOFTPLUS = 3,  // log(1 + exp x)
    CK_TANH = 4,
    CK_GELU_TANH = 5,
    CK_GELU_ERF = 6,
    CK_RELU_SQUARED = 7
} ck_unary;
void ck_unary_apply(ck_unary kind, const float *x, size_t n, float *y);
float ck_sigmoid(float x);

// y = act(gate) * up
typedef enum ck_glu {
    CK_GLU_SILU = 0,
    CK_GLU_GELU_TANH = 1,
    // (min(max(up, -limit), limit) + 1) * g * sigmoid(alpha g) with g = min(gate, limit)
    CK_GLU_CLAMPED = 2,
    // silu(min(gate, limit)) * min(max(up, -limit), limit)
    CK_GLU_SILU_CLAMPED = 3
} ck_glu;
void ck_glu_apply(ck_glu kind, const float *gate, const float *up, size_t n, float alpha, float limit, float *y);

// y = x / sqrt(mean(x^2) + eps) * w; w NULL: ones.
void ck_rms_norm(const float *x, const float *w, size_t n, float eps, float *y);
// y = (x - mean(x)) / sqrt(variance(x) + eps) * w + b; b NULL: zeros.
void ck_layer_norm(const float *x, const float *w, const float *b, size_t n, float eps, float *y);
// The RMS norm, then times silu(z) (sigmoid 0) or sigmoid(z) (sigmoid 1).
void ck_rms_norm_gated(const float *x, const float *w, const float *z, size_t n, float eps, int sigmoid, float *y);
// y = x * scale / sqrt(sum(x^2) + eps)
void ck_l2_norm(const float *x, size_t n, float eps, float scale, float *y);
// x = softmax(x)
void ck_softmax(float *x, size_t n);

// ---- rotary embedding ----

// cosines[i] = amplitude cos(position frequency[i]), sines likewise. |position frequency| < 2^30.
void ck_rope_angles(double position, const double *frequency, size_t pairs, double amplitude, float *cosines,
                    float *sines);
// Rotates pair i of x: (i, i + pairs), or (2 i, 2 i + 1) when interleaved.
void ck_rope(float *x, size_t pairs, int interleaved, const float *cosines, const float *sines);

// ---- key/value cache ----

// WORDS: 16-bit integers that share scales, for the keys and values of attention; F16: halves, for what is read as floats
// (latents, the keys of indexers).
typedef enum ck_cache { CK_CACHE_F32 = 0, CK_CACHE_F16 = 1, CK_CACHE_Q8_0 = 2, CK_CACHE_WORDS = 3 } ck_cache;

// Attention works on blocks of this many positions, counted from position 0 of the sequence.
#define CK_ATTENTION_BLOCK 256

// One layer of one sequence. Keys lie in tiles of 16 positions, per KV head:
//   F32, F16: [key_dim][16]    Q8_0: per 32 dims [16] F16 scales, then [32][16] int8
//   WORDS: [key_dim / 2][16][2] int16, rounded up, then per 32 dims [16] float scales
// Values lie in rows, one per position, per KV head; value_dim is a multiple of 16:
//   F32, F16: [value_dim]      Q8_0: [value_dim] int8, then [value_dim / 32] F16 scales
//   WORDS in tiles of 16 positions: [16] float scales, then [value_dim / 16][8][16][2] int16
typedef struct ck_kv {
    void *keys;
    void *values;
    ck_cache key_type;
    ck_cache value_type;
    size_t key_dim;
    size_t value_dim;
    size_t key_tile_bytes;
    size_t key_head_bytes;
    size_t value_row_bytes;
    size_t value_head_bytes;
    size_t positions;  // kept; position p lies at p % positions. A multiple of the block if p can be larger.
} ck_kv;

// Writes key (key_dim floats) and value (value_floats of them, the rest of the row is zero) of one position.
void ck_kv_store(const ck_kv *kv, size_t head, size_t position, const float *key, const float *value,
                 size_t value_floats);

// Some query heads of one KV head, for some consecutive positions.
typedef struct ck_attention_tile {
    const ck_kv *kv;
    size_t kv_head;
    const float *q;         // element (token, head, i) at q[token * q_token_stride + head * q_head_stride + i]
    size_t q_token_stride;
    size_t q_head_stride;
    size_t tokens;
    size_t heads;
    size_t position;        // of the first token
    size_t visible;         // the end of what tokens see; 0: each sees up to its own position
    size_t ahead;           // if there is such an end: the most positions beyond its own that a token sees
    size_t window;          // keys visible behind a query, itself included; 0: all
    float scale;
    float cap;              // scores are cap tanh(score / cap); 0: as they are
} ck_attention_tile;

// A row is one (token, head), heads fastest: floats [0] maximum, [1] sum, [16 ...] weighted values.
size_t ck_attention_row_floats(const ck_kv *kv);
size_t ck_attention_scratch_bytes(const ck_kv *kv, size_t rows);
// Lays the tile's queries out in `scratch`, where ck_attention_block finds them.
void ck_attention_queries(const ck_attention_tile *tile, void *scratch);
// The contribution of one block of positions to each row. A row that sees none of it gets sum 0.
void ck_attention_block(const ck_attention_tile *tile, size_t block, float *rows, void *scratch);
void ck_attention_start(float *row, size_t value_dim);
// Takes the next block into account; blocks must come in rising order.
void ck_attention_merge(float *row, const float *block_row, size_t value_dim);
// out = weighted values / sum. `sink` (may be NULL): a further logit that carries no value.
void ck_attention_finish(const float *row, size_t value_dim, const float *sink, size_t out_floats, float *out);

// ---- recurrent layers ----

#define CK_CONV_TAPS_MAX 16

// Causal depthwise convolution, `channels` (any number) channels beginning at each pointer:
// y[t][c] = act(bias[c] + sum over j of w[j][c] * x[t - taps + 1 + j][c]), oldest first; act is silu when `silu`.
// `history` [taps - 1][history_stride] holds the inputs before t = 0 and is left with those before t = tokens.
// x and y must not overlap.
void ck_causal_conv(const float *x, size_t x_stride, size_t tokens, size_t channels, const float *w,
                    size_t w_stride, size_t taps, const float *bias, int silu, float *history,
                    size_t history_stride, float *y, size_t y_stride);

// alpha = a * softplus(alpha + dt), beta = sigmoid(beta)
void ck_delta_gates(float *alpha, float *beta, const float *a, const float *dt, size_t n);

// 16 (or `lanes` < 16) value columns of one head of the gated delta rule, over `tokens` tokens.
// state: [key_dim][16]. Per token: S *= exp(decay); m = S^T k; S += k (x) (beta (v - m)); out = S^T q.
typedef struct ck_delta_block {
    float *state;
    size_t key_dim;
    size_t lanes;
    size_t tokens;
    const float *q, *k, *v, *decay, *beta;
    size_t q_stride, k_stride, v_stride, decay_stride, beta_stride;
    float *out;
    size_t out_stride;
} ck_delta_block;
void ck_delta_run(const ck_delta_block *block);

#endif
