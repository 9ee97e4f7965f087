// CBLAS and LAPACKE as the system has them: packages libopenblas-dev and liblapacke-dev on Debian.
#if __has_include(<cblas-openblas.h>)
#include <cblas-openblas.h>
#else
#include <cblas.h>
#endif
#include <lapacke.h>
