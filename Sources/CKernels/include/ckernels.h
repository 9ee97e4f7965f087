// The whole surface between Swift and C: weight formats, activations, matrix products.
//
// Every function gives the same bits on every instruction set: integer sums are exact, and each float
// step is one explicitly written operation in one fixed order.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// Instruction sets, weakest first. `CK_ISA_SCALAR` is portable C.
typedef enum ck_isa { CK_ISA_SCALAR = 0, CK_ISA_AVX2 = 1, CK_ISA_AVX512 = 2, CK_ISA_NEON = 3 } ck_isa;

// True when this machine can run `isa`.
int ck_isa_available(ck_isa isa);
// The best instruction set of this machine.
ck_isa ck_isa_best(void);
// Chooses the instruction set of all later calls. Not thread safe: call it before the first product.
// Returns 0 and changes nothing when the machine cannot run it.
int ck_isa_select(ck_isa isa);
ck_isa ck_isa_selected(void);

// How a format wants the other operand of a product.
typedef enum ck_act {
    CK_ACT_F32 = 0,    // float values as they are
    CK_ACT_Q8_32 = 1,  // int8 with one float scale per 32 values
    CK_ACT_Q8_256 = 2  // int8 with one float scale per 256 values
} ck_act;

#endif
