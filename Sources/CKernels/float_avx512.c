// The float functions with AVX-512.
#if defined(__x86_64__)
#define FLOAT_NATIVE_F16 1
#define FLOAT_ROWS 8
#define FLOAT_WORDS 512
#define FLOAT_TABLE ck_float_avx512
// Outside the functions that follow, nothing may need more than the baseline.
#include <string.h>

#include "float_table.h"

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#include "float_vector.inc"

#include "float_functions.inc"
#pragma clang attribute pop
#endif
