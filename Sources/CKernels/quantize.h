// The variants of activation quantization, one pair per instruction set.
#ifndef CK_QUANTIZE_H
#define CK_QUANTIZE_H

#include "kernel.h"

// A group's scale d and 1 / d; without `usable` every q of the group is 0.
typedef struct ck_group_scale {
    float d, inverse;
    int usable;
} ck_group_scale;

// amax_bits: the largest bit pattern, sign removed, of the group.
ck_group_scale ck_group_scale_of(uint32_t amax_bits);

void ck_quantize_32_scalar(const float *x, size_t cols, void *out);
void ck_quantize_256_scalar(const float *x, size_t cols, void *out);

#endif
