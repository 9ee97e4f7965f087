// Products of many tokens on arm64, with dot products.
#include "neon_tiles.h"
#if defined(CK_ARM)
#define CK_TARGET CK_NEON
#define CK_NAME(X) X##_neon
#define CK_MATRIX 0
#include "neon_tiles.inc"
#endif
