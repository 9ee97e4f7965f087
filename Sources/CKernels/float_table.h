// One set of the functions of ckfloat.h per instruction set.
#ifndef CK_FLOAT_TABLE_H
#define CK_FLOAT_TABLE_H

#include "ckernels.h"
#include "ckfloat.h"
#include "cklatent.h"
#include "ckscan.h"

// Queries of an attention tile lie in groups of this many rows, whatever the instruction set; FLOAT_ROWS divides it.
#define CK_QUERY_GROUP 8

typedef struct ck_float_table {
    void (*add)(float *, const float *, size_t);
    void (*scale)(float *, const float *, float, size_t);
    void (*add_scaled)(float *, const float *, float, size_t);
    void (*mul_sigmoid)(float *, const float *, size_t);
    void (*unary)(ck_unary, const float *, size_t, float *);
    void (*glu)(ck_glu, const float *, const float *, size_t, float, float, float *);
    void (*rms_norm)(const float *, const float *, size_t, float, float *);
    void (*layer_norm)(const float *, const float *, const float *, size_t, float, float *);
    void (*rms_norm_gated)(const float *, const float *, const float *, size_t, float, int, float *);
    void (*l2_norm)(const float *, size_t, float, float, float *);
    void (*softmax)(float *, size_t);
    void (*rope_angles)(double, const double *, size_t, double, float *, float *);
    void (*rope)(float *, size_t, int, const float *, const float *);
    void (*kv_store)(const ck_kv *, size_t, size_t, const float *, const float *, size_t);
    size_t (*attention_scratch_bytes)(const ck_kv *, size_t);
    void (*attention_queries)(const ck_attention_tile *, void *);
    void (*attention_block)(const ck_attention_tile *, size_t, float *, void *);
    void (*attention_merge)(float *, const float *, size_t);
    void (*attention_finish)(const float *, size_t, const float *, size_t, float *);
    void (*causal_conv)(const float *, size_t, size_t, size_t, const float *, size_t, size_t, const float *, int,
                        float *, size_t, float *, size_t);
    void (*delta_gates)(float *, float *, const float *, const float *, size_t);
    void (*delta_run)(const ck_delta_block *);
    void (*mul)(float *, const float *, size_t);
    void (*mamba_run)(const ck_mamba_block *);
    void (*selective_run)(const ck_selective_block *);
    void (*channel_gates)(float *, const float *, float, const float *, float, size_t, float *);
    void (*channel_delta_run)(const ck_channel_delta_block *);
    void (*latent_store)(const ck_latent *, size_t, const float *, const float *, size_t);
    void (*latent_block)(const ck_latent_tile *, size_t, float *, void *);
    void (*index_block)(const ck_kv *, size_t, size_t, const float *, size_t, const float *, size_t, float *, void *);
    void (*top_k)(const float *, size_t, size_t, int32_t *);
} ck_float_table;

extern const ck_float_table ck_float_scalar;
#if defined(__x86_64__)
extern const ck_float_table ck_float_avx2;
extern const ck_float_table ck_float_avx512;
#endif

#endif
