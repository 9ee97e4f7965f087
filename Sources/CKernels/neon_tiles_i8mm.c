// Products of many tokens on arm64, with products of int8 matrices.
#include "neon_tiles.h"
#if defined(CK_ARM)
#define CK_TARGET CK_I8MM
#define CK_NAME(X) X##_i8mm
#define CK_MATRIX 1
#include "neon_tiles.inc"
#endif
