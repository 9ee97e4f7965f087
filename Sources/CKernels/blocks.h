// The blocks of the weight formats as they lie in a GGUF file. Layouts as in ggml's `ggml-common.h`; fields are
// little-endian, and every `d`, `m` and `dmin` is a binary16.
#ifndef CK_BLOCKS_H
#define CK_BLOCKS_H

#include <stdint.h>

// --- 32 values. In the 4- and 5-bit ones qs[i] holds value i in its low and value i + 16 in its high half; bit i of
// qh is the fifth bit of value i.

typedef struct ck_block_q8_0 {
    uint16_t d;
    int8_t qs[32];
} ck_block_q8_0;
_Static_assert(sizeof(ck_block_q8_0) == 34, "layout of the file");

typedef struct ck_block_q4_0 {
    uint16_t d;
    uint8_t qs[16];
} ck_block_q4_0;
_Static_assert(sizeof(ck_block_q4_0) == 18, "layout of the file");

typedef struct ck_block_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
} ck_block_q4_1;
_Static_assert(sizeof(ck_block_q4_1) == 20, "layout of the file");

typedef struct ck_block_q5_0 {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[16];
} ck_block_q5_0;
_Static_assert(sizeof(ck_block_q5_0) == 22, "layout of the file");

typedef struct ck_block_q5_1 {
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[16];
} ck_block_q5_1;
_Static_assert(sizeof(ck_block_q5_1) == 24, "layout of the file");

typedef struct ck_block_iq4_nl {
    uint16_t d;
    uint8_t qs[16];  // indices into ck_iq4_values
} ck_block_iq4_nl;
_Static_assert(sizeof(ck_block_iq4_nl) == 18, "layout of the file");

typedef struct ck_block_mxfp4 {
    uint8_t e;       // E8M0: the scale is 2^(e - 127)
    uint8_t qs[16];  // E2M1 values
} ck_block_mxfp4;
_Static_assert(sizeof(ck_block_mxfp4) == 17, "layout of the file");

// --- 64 and 128 values.

typedef struct ck_block_q2_0 {
    uint16_t d;
    uint8_t qs[16];  // value i in bits 2 (i % 4) of byte i / 4, plus 1
} ck_block_q2_0;
_Static_assert(sizeof(ck_block_q2_0) == 18, "layout of the file");

typedef struct ck_block_q1_0 {
    uint16_t d;
    uint8_t qs[16];  // bit i % 8 of byte i / 8: 1 where value i is 1, 0 where it is -1
} ck_block_q1_0;
_Static_assert(sizeof(ck_block_q1_0) == 18, "layout of the file");

typedef struct ck_block_nvfp4 {
    uint8_t d[4];    // UE4M3, per 16 values
    uint8_t qs[32];  // E2M1 values; per 16 values 8 bytes: the first 8 in the low, the next in the high halves
} ck_block_nvfp4;
_Static_assert(sizeof(ck_block_nvfp4) == 36, "layout of the file");

// --- 256 values.

typedef struct ck_block_q2_K {
    uint8_t scales[16];  // per 16 values: scale in the low, minimum in the high half
    uint8_t qs[64];      // per 128 values 32 bytes: value 32 s + l of them in bits 2 s of byte l
    uint16_t d, dmin;
} ck_block_q2_K;
_Static_assert(sizeof(ck_block_q2_K) == 84, "layout of the file");

typedef struct ck_block_q3_K {
    uint8_t hmask[32];   // bit s of byte l: third bit of value 32 s + l
    uint8_t qs[64];      // two low bits, as in Q2_K
    uint8_t scales[12];  // sixteen 6-bit scales
    uint16_t d;
} ck_block_q3_K;
_Static_assert(sizeof(ck_block_q3_K) == 110, "layout of the file");

typedef struct ck_block_q4_K {
    uint16_t d, dmin;
    uint8_t scales[12];  // eight 6-bit scales and eight 6-bit minima
    uint8_t qs[128];     // per 64 values 32 bytes: the first 32 in the low, the next in the high halves
} ck_block_q4_K;
_Static_assert(sizeof(ck_block_q4_K) == 144, "layout of the file");

typedef struct ck_block_q5_K {
    uint16_t d, dmin;
    uint8_t scales[12];  // as in Q4_K
    uint8_t qh[32];      // bit s of byte l: fifth bit of value 32 s + l
    uint8_t qs[128];     // as in Q4_K
} ck_block_q5_K;
_Static_assert(sizeof(ck_block_q5_K) == 176, "layout of the file");

typedef struct ck_block_q6_K {
    uint8_t ql[128];    // per 128 values 64 bytes: the first 64 in the low, the next in the high halves
    uint8_t qh[64];     // per 128 values 32 bytes: upper two bits of value 32 s + l in bits 2 s of byte l
    int8_t scales[16];  // per 16 values
    uint16_t d;
} ck_block_q6_K;
_Static_assert(sizeof(ck_block_q6_K) == 210, "layout of the file");

typedef struct ck_block_iq4_xs {
    uint16_t d;
    uint16_t scales_h;    // upper two bits of the scale of 32-group s in bits 2 s
    uint8_t scales_l[4];  // lower four bits, two per byte
    uint8_t qs[128];      // per 32 values 16 bytes: indices into ck_iq4_values, halves as in Q4_0
} ck_block_iq4_xs;
_Static_assert(sizeof(ck_block_iq4_xs) == 136, "layout of the file");

typedef struct ck_block_tq1_0 {
    uint8_t qs[48];  // five values of three levels per byte: values 32 i + l in byte l, 160 + 16 i + l in byte 32 + l
    uint8_t qh[4];   // four of them: values 240 + 4 i + l in byte l
    uint16_t d;
} ck_block_tq1_0;
_Static_assert(sizeof(ck_block_tq1_0) == 54, "layout of the file");

typedef struct ck_block_tq2_0 {
    uint8_t qs[64];  // as in Q2_K, plus 1
    uint16_t d;
} ck_block_tq2_0;
_Static_assert(sizeof(ck_block_tq2_0) == 66, "layout of the file");

// --- 256 values from codebooks (grids.h). Where indices have more than eight bits, the lower eight come first.

typedef struct ck_block_iq2_xxs {
    uint16_t d;
    uint8_t qs[64];  // per 32 values: four indices; 32 bits with four times seven signs, then the 4-bit scale
} ck_block_iq2_xxs;
_Static_assert(sizeof(ck_block_iq2_xxs) == 66, "layout of the file");

typedef struct ck_block_iq2_xs {
    uint16_t d;
    uint16_t qs[32];    // per 8 values: 9-bit index, seven signs
    uint8_t scales[8];  // per 16 values, low halves first
} ck_block_iq2_xs;
_Static_assert(sizeof(ck_block_iq2_xs) == 74, "layout of the file");

typedef struct ck_block_iq2_s {
    uint16_t d;
    uint8_t qs[32];     // per 8 values
    uint8_t signs[32];  // likewise
    uint8_t qh[8];      // upper two bits of index i in bits 2 (i % 4) of byte i / 4
    uint8_t scales[8];  // as in IQ2_XS
} ck_block_iq2_s;
_Static_assert(sizeof(ck_block_iq2_s) == 82, "layout of the file");

typedef struct ck_block_iq3_xxs {
    uint16_t d;
    uint8_t qs[64];     // per 4 values
    uint8_t signs[32];  // per 32 values 32 bits, as in IQ2_XXS
} ck_block_iq3_xxs;
_Static_assert(sizeof(ck_block_iq3_xxs) == 98, "layout of the file");

typedef struct ck_block_iq3_s {
    uint16_t d;
    uint8_t qs[64];     // per 4 values
    uint8_t qh[8];      // ninth bit of index i in bit i % 8 of byte i / 8
    uint8_t signs[32];  // per 8 values
    uint8_t scales[4];  // per 32 values, low halves first
} ck_block_iq3_s;
_Static_assert(sizeof(ck_block_iq3_s) == 110, "layout of the file");

typedef struct ck_block_iq1_s {
    uint16_t d;
    uint8_t qs[32];  // per 8 values
    uint16_t qh[8];  // per 32 values: upper three bits of the four indices, 3-bit scale, sign of the shift
} ck_block_iq1_s;
_Static_assert(sizeof(ck_block_iq1_s) == 50, "layout of the file");

typedef struct ck_block_iq1_m {
    uint8_t qs[32];      // per 8 values
    uint8_t qh[16];      // per 8 values a half byte: upper three bits of the index, sign of the shift
    uint16_t scales[4];  // four 3-bit scales, each of 16 values; above them a quarter of the bits of the binary16 d
} ck_block_iq1_m;
_Static_assert(sizeof(ck_block_iq1_m) == 56, "layout of the file");

// The 16 values of IQ4_NL and IQ4_XS.
#define CK_IQ4_VALUES -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
// The 16 values of E2M1, doubled so that they are integers.
#define CK_E2M1_DOUBLED 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12

#endif
