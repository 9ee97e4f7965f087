// Attention over latents: one row per position serves all heads as key and, in its first part, as value
// (multi-head latent attention in absorbed form, DeepSeek-AI 2024). And the learned choice of positions
// (DeepSeek Sparse Attention, DeepSeek-AI 2025).
#ifndef CKLATENT_H
#define CKLATENT_H

#include "ckfloat.h"

// One layer of one sequence. A row is `dim` values (key and value) and `tail` further ones (key only), both multiples
// of 16, each part stored like a value row of ck_kv.
typedef struct ck_latent {
    void *rows;
    ck_cache type;
    size_t dim;
    size_t tail;
    size_t row_bytes;
} ck_latent;

// Writes one position; `tail_floats` <= tail, the rest is zero.
void ck_latent_store(const ck_latent *cache, size_t position, const float *latent, const float *tail,
                     size_t tail_floats);

// Some query heads, for some consecutive positions. A query is [dim | tail] floats.
typedef struct ck_latent_tile {
    const ck_latent *cache;
    const float *q;         // element (token, head, i) at q[token * q_token_stride + head * q_head_stride + i]
    size_t q_token_stride;
    size_t q_head_stride;
    size_t tokens;
    size_t heads;
    size_t position;        // of the first token
    size_t window;          // rows visible behind a query, itself included; 0: all
    float scale;
    // NULL: all visible rows. Else (for one token) these rows only, rising; blocks then count the chosen.
    const int32_t *chosen;
    size_t chosen_count;
} ck_latent_tile;

size_t ck_latent_scratch_bytes(const ck_latent *cache, size_t rows, int chosen);
// The contribution of one block of CK_ATTENTION_BLOCK positions to each row, as ck_attention_block has it; to be
// merged and finished by ck_attention_merge and ck_attention_finish with value_dim = dim. A score is a product of
// vectors: 16 lanes over the query, then the tree.
void ck_latent_block(const ck_latent_tile *tile, size_t block, float *rows, void *scratch);

// scores[j] = sum over heads h of weights[h] * max(q_h . k_j, 0), for the positions of one block of
// CK_ATTENTION_BLOCK; those from `count` on are left alone. keys: a cache of one head without values.
void ck_index_block(const ck_kv *keys, size_t block, size_t count, const float *q, size_t q_head_stride,
                    const float *weights, size_t heads, float *scores, void *scratch);
size_t ck_index_scratch_bytes(const ck_kv *keys);

// The indices of the k largest of n values, rising; of equal values the first. k <= n.
void ck_top_k(const float *values, size_t n, size_t k, int32_t *chosen);

#endif
