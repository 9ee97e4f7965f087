// The float functions with AVX2, FMA and F16C.
#if defined(__x86_64__)
#define FLOAT_NATIVE_F16 1
#define FLOAT_ROWS 4
#define FLOAT_WORDS 256
#define FLOAT_TABLE ck_float_avx2
// Outside the functions that follow, nothing may need more than the baseline.
#include <string.h>

#include "float_table.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "float_vector.inc"

#include "float_functions.inc"
#pragma clang attribute pop
#endif
