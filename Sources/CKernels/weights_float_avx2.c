// Products with float weights, AVX2: a vector of sixteen is a pair of registers.
#include "kernel.h"
#if defined(CK_X86)
#define CK_TARGET CK_AVX2
#define CK_NAME(X) X##_avx2
#define CK_ROWS 2
#define CK_TOKENS 3
#include "floats.h"
#endif
