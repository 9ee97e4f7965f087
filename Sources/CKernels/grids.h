// The codebooks of the grid formats: an index names a code, a code the levels of eight or of four adjoining values.
#ifndef CK_GRIDS_H
#define CK_GRIDS_H

#include "kernel.h"

// IQ1 has levels -1, 0, 1; IQ2 8, 25, 43; IQ3_XXS 4, 12, …, 52, 62; IQ3_S 1, 3, …, 15. The levels of IQ2 and IQ3 are
// magnitudes, whose signs stand elsewhere.
#define CK_IQ1_COUNT 2048
#define CK_IQ2_XXS_COUNT 256
#define CK_IQ2_XS_COUNT 512
#define CK_IQ2_S_COUNT 1024
#define CK_IQ3_XXS_COUNT 256
#define CK_IQ3_S_COUNT 512

// Numbers of levels: two bits for each of eight values, or three bits for each of four.
extern const uint16_t ck_codes_iq1[CK_IQ1_COUNT], ck_codes_iq2_xxs[CK_IQ2_XXS_COUNT], ck_codes_iq2_xs[CK_IQ2_XS_COUNT],
    ck_codes_iq2_s[CK_IQ2_S_COUNT], ck_codes_iq3_xxs[CK_IQ3_XXS_COUNT], ck_codes_iq3_s[CK_IQ3_S_COUNT];

// The levels themselves as bytes, those of IQ1 times eight.
extern const uint64_t ck_levels_iq1[CK_IQ1_COUNT], ck_levels_iq2_xxs[CK_IQ2_XXS_COUNT],
    ck_levels_iq2_xs[CK_IQ2_XS_COUNT], ck_levels_iq2_s[CK_IQ2_S_COUNT];
extern const uint32_t ck_levels_iq3_xxs[CK_IQ3_XXS_COUNT], ck_levels_iq3_s[CK_IQ3_S_COUNT];

// Seven signs, and an eighth that makes the number of negative ones even.
extern const uint8_t ck_even_signs[128];

#endif
