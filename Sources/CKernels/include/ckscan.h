// Recurrent layers whose state decays per head (Mamba2) or per channel (Kimi delta attention). The state of a head
// lies in blocks of 16 value columns: [key_dim][16]. A kernel runs one block over some tokens of one sequence.
// Sums over the key dimension run in four chains (i mod 4), joined as (0 + 1) + (2 + 3).
#ifndef CKSCAN_H
#define CKSCAN_H

#include <stddef.h>

// x *= y
void ck_mul(float *x, const float *y, size_t n);

// 16 (or `lanes` < 16) value columns of one Mamba2 head (Dao & Gu 2024). Per token, with
// step = softplus(dt + dt_bias):
//   S = exp(step a) S + b (x) (step x);  out = S^T c + d x
typedef struct ck_mamba_block {
    float *state;
    size_t key_dim;  // the state size N
    size_t lanes;
    size_t tokens;
    const float *x, *b, *c, *dt;  // b and c: key_dim values per token; dt: one
    size_t x_stride, b_stride, c_stride, dt_stride;
    float a, dt_bias, d;
    float *out;
    size_t out_stride;
} ck_mamba_block;
void ck_mamba_run(const ck_mamba_block *block);

// Mamba 1: some channels over the tokens of a segment. Per token, with step = softplus(dt):
// state[n] = exp(step a[n]) state[n] + b[n] step x; out = sum over n of c[n] state[n] + d x.
typedef struct ck_selective_block {
    float *state;    // states x 16: channels in the lanes
    size_t states;
    size_t lanes;
    size_t tokens;
    const float *x, *b, *c, *dt;  // x and dt: a value per channel and token; b and c: `states` values per token
    size_t x_stride, b_stride, c_stride, dt_stride;
    const float *a;  // rows of a_stride, whole vectors readable
    size_t a_stride;
    const float *d;  // a value per channel
    float *out;
    size_t out_stride;
} ck_selective_block;
void ck_selective_run(const ck_selective_block *block);

// decay = exp(a softplus(decay + dt)), decayed = k * decay; n key channels of one head.
// With `least` other than 0 the log of a decay is least sigmoid(|a| (decay + dt)).
void ck_channel_gates(float *decay, const float *k, float a, const float *dt, float least, size_t n,
                      float *decayed);

// The gated delta rule with a decay per key channel (Kimi Team 2025, "Kimi Linear"). Per token:
//   S = diag(decay) S;  m = S^T k;  S += k (x) (beta (v - m));  out = S^T q
// `decayed` is k * decay: what m needs of the state before the decay.
typedef struct ck_channel_delta_block {
    float *state;
    size_t key_dim;
    size_t lanes;
    size_t tokens;
    const float *q, *k, *v, *decay, *decayed, *beta;
    size_t q_stride, k_stride, v_stride, decay_stride, decayed_stride, beta_stride;
    float *out;
    size_t out_stride;
} ck_channel_delta_block;
void ck_channel_delta_run(const ck_channel_delta_block *block);

#endif
