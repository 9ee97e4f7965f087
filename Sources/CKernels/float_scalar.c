// The float functions in what every processor of the architecture has.
#if defined(__aarch64__)
#define FLOAT_NATIVE_F16 1
#else
#define FLOAT_NATIVE_F16 0
#endif
#define FLOAT_ROWS 4
#define FLOAT_WORDS 0
#define FLOAT_TABLE ck_float_scalar
#include "float_vector.inc"

#include "float_functions.inc"
