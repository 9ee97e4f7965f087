// The blocks of the weight formats as they lie in a GGUF file. Layouts as in ggml's `ggml-common.h`; all fields
// are little-endian, and `d`, `m`, `dmin` are binary16 unless a comment says otherwise.
#ifndef CK_BLOCKS_H
#define CK_BLOCKS_H

#include <stdint.h>

// 32 values: d * qs[i].
typedef struct ck_block_q8_0 {
    uint16_t d;
    int8_t qs[32];
} ck_block_q8_0;
_Static_assert(sizeof(ck_block_q8_0) == 34, "layout of the file");

#endif
