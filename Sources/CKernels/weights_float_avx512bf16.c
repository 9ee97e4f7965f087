// Products with BF16 weights, AVX-512 with `vdpbf16ps`.
#include "kernel.h"
#if defined(CK_X86)
#include <immintrin.h>
#define CK_TARGET CK_AVX512_BF16
#define CK_NAME(X) X##_avx512bf16
#define CK_ROWS 4
#define CK_TOKENS 6
#define CK_BF16_DOT
#include "floats.h"
#endif
