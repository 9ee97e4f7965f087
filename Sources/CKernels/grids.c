#include "grids.h"

#define LINE __attribute__((aligned(64)))

// The codes as they stand in grids.inc.
#define ROW(...) __VA_ARGS__,
#define CK_IQ1_S
LINE const uint16_t ck_codes_iq1[CK_IQ1_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ1_S
#define CK_IQ2_XXS
LINE const uint16_t ck_codes_iq2_xxs[CK_IQ2_XXS_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ2_XXS
#define CK_IQ2_XS
LINE const uint16_t ck_codes_iq2_xs[CK_IQ2_XS_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ2_XS
#define CK_IQ2_S
LINE const uint16_t ck_codes_iq2_s[CK_IQ2_S_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ2_S
#define CK_IQ3_XXS
LINE const uint16_t ck_codes_iq3_xxs[CK_IQ3_XXS_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ3_XXS
#define CK_IQ3_S
LINE const uint16_t ck_codes_iq3_s[CK_IQ3_S_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ3_S
#undef ROW

// Codes as bytes of levels; LEVEL gives the level of a number.
#define ROW(A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P)                                                     \
    BYTES(A), BYTES(B), BYTES(C), BYTES(D), BYTES(E), BYTES(F), BYTES(G), BYTES(H), BYTES(I), BYTES(J), BYTES(K), \
        BYTES(L), BYTES(M), BYTES(N), BYTES(O), BYTES(P),
#define AT(CODE, I, BITS) ((uint64_t)LEVEL((CODE) >> ((I) * (BITS)) & ((1 << (BITS)) - 1)) << (8 * (I)))
#define FOUR(CODE, BITS) (AT(CODE, 0, BITS) | AT(CODE, 1, BITS) | AT(CODE, 2, BITS) | AT(CODE, 3, BITS))

#define BYTES(CODE) (FOUR(CODE, 2) | FOUR((CODE) >> 8, 2) << 32)
#define LEVEL(I) (uint8_t)(8 * (I) - 8)
#define CK_IQ1_S
LINE const uint64_t ck_levels_iq1[CK_IQ1_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ1_S
#undef LEVEL

#define LEVEL(I) (8 + 17 * (I) + (I) / 2)
#define CK_IQ2_XXS
LINE const uint64_t ck_levels_iq2_xxs[CK_IQ2_XXS_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ2_XXS
#define CK_IQ2_XS
LINE const uint64_t ck_levels_iq2_xs[CK_IQ2_XS_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ2_XS
#define CK_IQ2_S
LINE const uint64_t ck_levels_iq2_s[CK_IQ2_S_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ2_S
#undef LEVEL
#undef BYTES

#define BYTES(CODE) (uint32_t)FOUR(CODE, 3)
#define LEVEL(I) (4 + 8 * (I) + (I) / 7 * 2)
#define CK_IQ3_XXS
LINE const uint32_t ck_levels_iq3_xxs[CK_IQ3_XXS_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ3_XXS
#undef LEVEL
#define LEVEL(I) (1 + 2 * (I))
#define CK_IQ3_S
LINE const uint32_t ck_levels_iq3_s[CK_IQ3_S_COUNT] = {
#include "grids.inc"
};
#undef CK_IQ3_S

#define SIGNS(S) (S) | ((S) ^ (S) >> 1 ^ (S) >> 2 ^ (S) >> 3 ^ (S) >> 4 ^ (S) >> 5 ^ (S) >> 6) << 7 & 128
#define EIGHT(S) SIGNS(S), SIGNS(S + 1), SIGNS(S + 2), SIGNS(S + 3), SIGNS(S + 4), SIGNS(S + 5), SIGNS(S + 6), SIGNS(S + 7)
LINE const uint8_t ck_even_signs[128] = {
    EIGHT(0),  EIGHT(8),  EIGHT(16), EIGHT(24), EIGHT(32), EIGHT(40), EIGHT(48),  EIGHT(56),
    EIGHT(64), EIGHT(72), EIGHT(80), EIGHT(88), EIGHT(96), EIGHT(104), EIGHT(112), EIGHT(120),
};

static const ck_grid grids[] = {
    {16, CK_IQ2_XXS_COUNT, 8, 2, {8, 25, 43}, ck_codes_iq2_xxs},
    {17, CK_IQ2_XS_COUNT, 8, 2, {8, 25, 43}, ck_codes_iq2_xs},
    {18, CK_IQ3_XXS_COUNT, 4, 3, {4, 12, 20, 28, 36, 44, 52, 62}, ck_codes_iq3_xxs},
    {19, CK_IQ1_COUNT, 8, 2, {-1, 0, 1}, ck_codes_iq1},
    {21, CK_IQ3_S_COUNT, 4, 3, {1, 3, 5, 7, 9, 11, 13, 15}, ck_codes_iq3_s},
    {22, CK_IQ2_S_COUNT, 8, 2, {8, 25, 43}, ck_codes_iq2_s},
    {29, CK_IQ1_COUNT, 8, 2, {-1, 0, 1}, ck_codes_iq1},
};

const ck_grid *ck_grid_find(uint32_t gguf_type) {
    for (size_t i = 0; i < sizeof grids / sizeof grids[0]; i++) {
        if (grids[i].gguf_type == gguf_type) return &grids[i];
    }
    return NULL;
}
