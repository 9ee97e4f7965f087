// Products with float weights, NEON: a vector of sixteen is four registers.
#include "kernel.h"
#if defined(CK_ARM)
#define CK_TARGET
#define CK_NAME(X) X##_neon
#define CK_ROWS 2
#define CK_TOKENS 3
#include "floats.h"
#endif
