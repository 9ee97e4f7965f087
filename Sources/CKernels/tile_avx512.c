// The shared micro-kernels of the batched product, AVX-512 VNNI: 32 rows × up to 6 tokens in registers.
#include "avx512.h"

#if defined(CK_X86)

CK_AVX512 CK_INLINE __m512i broadcast32(const void *p) {
    int32_t value;
    memcpy(&value, p, sizeof value);
    return _mm512_set1_epi32(value);
}

CK_AVX512 CK_INLINE __m512 broadcast_float(const void *p) { return _mm512_castsi512_ps(broadcast32(p)); }

// sum[t][h] += dot products of 4 * steps columns.
CK_AVX512 CK_INLINE void multiply(__m512i sum[][2], const uint8_t (*w)[2][64], const int8_t *const *q, size_t offset,
                                  int steps, int tokens) {
#pragma clang loop unroll(full)
    for (int k = 0; k < steps; k++) {
        __m512i w0 = _mm512_load_si512(w[k][0]), w1 = _mm512_load_si512(w[k][1]);
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            __m512i x = broadcast32(q[t] + offset + 4 * (size_t)k);
            sum[t][0] = _mm512_dpbusd_epi32(sum[t][0], w0, x);
            sum[t][1] = _mm512_dpbusd_epi32(sum[t][1], w1, x);
        }
    }
}

// Blocks of 32: the float steps follow every block.
CK_AVX512 CK_INLINE void tile32(const ck_tile *tile, int tokens, int has_min) {
    const ck_panel *panel = tile->panel;
    const int8_t *q[CK_TILE_TOKENS];
    const uint8_t *aux[CK_TILE_TOKENS];
    __m512 acc[CK_TILE_TOKENS][2];
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
        q[t] = tile->q[t];
        aux[t] = tile->aux[t];
        acc[t][0] = _mm512_load_ps(tile->acc + 32 * t);
        acc[t][1] = _mm512_load_ps(tile->acc + 32 * t + 16);
    }
    for (size_t b = 0; b < tile->blocks; b++) {
        __m512i sum[CK_TILE_TOKENS][2];
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            sum[t][0] = has_min ? _mm512_setzero_si512() : broadcast32(aux[t] + tile->nsum_offset + 4 * b);
            sum[t][1] = sum[t][0];
        }
        multiply(sum, panel->q + 8 * b, q, 32 * b, 8, tokens);
        __m512 d0 = _mm512_load_ps(panel->d[b][0]), d1 = _mm512_load_ps(panel->d[b][1]);
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            __m512 d = broadcast_float(aux[t] + 4 * b);
            acc[t][0] = _mm512_fmadd_ps(_mm512_mul_ps(d0, d), _mm512_cvtepi32_ps(sum[t][0]), acc[t][0]);
            acc[t][1] = _mm512_fmadd_ps(_mm512_mul_ps(d1, d), _mm512_cvtepi32_ps(sum[t][1]), acc[t][1]);
        }
        if (has_min) {
            __m512 m0 = _mm512_load_ps(panel->m[b][0]), m1 = _mm512_load_ps(panel->m[b][1]);
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                __m512 s = broadcast_float(aux[t] + tile->s_offset + 4 * b);
                acc[t][0] = _mm512_fmadd_ps(m0, s, acc[t][0]);
                acc[t][1] = _mm512_fmadd_ps(m1, s, acc[t][1]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
        _mm512_store_ps(tile->acc + 32 * t, acc[t][0]);
        _mm512_store_ps(tile->acc + 32 * t + 16, acc[t][1]);
    }
}

// One block of 256: groups of `width` columns are summed, scaled and added as integers; one float step at the end.
// Width 256 stands for the flat kinds, whose scales are part of the weights.
CK_AVX512 CK_INLINE void tile256(const ck_tile *tile, int tokens, int width, int has_min) {
    const ck_panel *panel = tile->panel;
    const int8_t *q[CK_TILE_TOKENS];
    const ck_act256 *act[CK_TILE_TOKENS];
    __m512i total[CK_TILE_TOKENS][2];
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) {
        q[t] = tile->q[t];
        act[t] = (const ck_act256 *)tile->aux[t];
        total[t][0] = width == 256 && !has_min ? broadcast32(&act[t]->nsum256) : _mm512_setzero_si512();
        total[t][1] = total[t][0];
    }
    if (width == 256) {
#pragma clang loop unroll(disable)
        for (int g = 0; g < 8; g++) multiply(total, panel->q + 8 * g, q, (size_t)(32 * g), 8, tokens);
    } else {
#pragma clang loop unroll(disable)
        for (int g = 0; g < 256 / width; g++) {
            __m512i sum[CK_TILE_TOKENS][2];
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                const int32_t *nsum = width == 16 ? act[t]->nsum16 : act[t]->nsum32;
                sum[t][0] = has_min ? _mm512_setzero_si512() : broadcast32(nsum + g);
                sum[t][1] = sum[t][0];
            }
            multiply(sum, panel->q + g * (width / 4), q, (size_t)(g * width), width / 4, tokens);
            __m512i s0 = _mm512_load_si512(panel->scale[g][0]), s1 = _mm512_load_si512(panel->scale[g][1]);
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                total[t][0] = _mm512_add_epi32(total[t][0], _mm512_mullo_epi32(sum[t][0], s0));
                total[t][1] = _mm512_add_epi32(total[t][1], _mm512_mullo_epi32(sum[t][1], s1));
            }
        }
    }
    int pairs = width == 32 ? 4 : 8;
#pragma clang loop unroll(full)
    for (int h = 0; h < 2; h++) {
        __m512 d = _mm512_load_ps(panel->d[0][h]), dmin = _mm512_load_ps(panel->m[0][h]);
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            float *out = tile->acc + 32 * t + 16 * h;
            __m512 act_d = broadcast_float(&act[t]->d);
            __m512 acc = _mm512_load_ps(out);
            __m512i sum = total[t][h];
            if (width == 256 && !has_min) sum = _mm512_sub_epi32(_mm512_setzero_si512(), sum);
            acc = _mm512_fmadd_ps(_mm512_mul_ps(d, act_d), _mm512_cvtepi32_ps(sum), acc);
            if (has_min) {
                const int16_t *sums = width == 32 ? act[t]->sum32 : act[t]->sum16;
                __m512i min_sum = _mm512_setzero_si512();
#pragma clang loop unroll(full)
                for (int g = 0; g < pairs; g++) {
                    min_sum = _mm512_dpwssd_epi32(min_sum, _mm512_load_si512(panel->min[g][h]),
                                                  broadcast32(sums + 2 * g));
                }
                acc = _mm512_fnmadd_ps(_mm512_mul_ps(dmin, act_d), _mm512_cvtepi32_ps(min_sum), acc);
            }
            _mm512_store_ps(out, acc);
        }
    }
}

#define TILES(NAME, BODY)                                               \
    CK_AVX512 static void NAME##_1(const ck_tile *tile) { BODY(1); }    \
    CK_AVX512 static void NAME##_2(const ck_tile *tile) { BODY(2); }    \
    CK_AVX512 static void NAME##_3(const ck_tile *tile) { BODY(3); }    \
    CK_AVX512 static void NAME##_4(const ck_tile *tile) { BODY(4); }    \
    CK_AVX512 static void NAME##_5(const ck_tile *tile) { BODY(5); }    \
    CK_AVX512 static void NAME##_6(const ck_tile *tile) { BODY(6); }

#define BODY_32(T) tile32(tile, T, 0)
#define BODY_32_MIN(T) tile32(tile, T, 1)
#define BODY_256_BY_32(T) tile256(tile, T, 32, 0)
#define BODY_256_BY_16(T) tile256(tile, T, 16, 0)
#define BODY_256_BY_32_MIN(T) tile256(tile, T, 32, 1)
#define BODY_256_FLAT(T) tile256(tile, T, 256, 0)
#define BODY_256_FLAT_MIN(T) tile256(tile, T, 256, 1)
TILES(by32, BODY_32)
TILES(by32_min, BODY_32_MIN)
TILES(by256_32, BODY_256_BY_32)
TILES(by256_16, BODY_256_BY_16)
TILES(by256_32_min, BODY_256_BY_32_MIN)
TILES(flat, BODY_256_FLAT)
TILES(flat_min, BODY_256_FLAT_MIN)

#define ROW(NAME) {NAME##_1, NAME##_2, NAME##_3, NAME##_4, NAME##_5, NAME##_6}
const ck_tile_fn ck_tiles_avx512[CK_TILE_KINDS][CK_TILE_TOKENS] = {
    [CK_TILE_32] = ROW(by32),
    [CK_TILE_32_MIN] = ROW(by32_min),
    [CK_TILE_256_BY_32] = ROW(by256_32),
    [CK_TILE_256_BY_16] = ROW(by256_16),
    [CK_TILE_256_BY_32_MIN] = ROW(by256_32_min),
    [CK_TILE_256_FLAT] = ROW(flat),
    [CK_TILE_256_FLAT_MIN] = ROW(flat_min),
};

#endif
