// Products with float weights, AVX-512.
#include "kernel.h"
#if defined(CK_X86)
#define CK_TARGET CK_AVX512
#define CK_NAME(X) X##_avx512
#define CK_ROWS 4
#define CK_TOKENS 6
#include "floats.h"
#endif
