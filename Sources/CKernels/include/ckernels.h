// The whole surface between Swift and C for quantized weights: formats, activations, matrix products.
//
// Every function gives the same bits on every instruction set and for every split of rows and tokens:
// integer sums are exact, and each float step is one explicitly written operation in one fixed order.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// Instruction sets, of each processor the weakest first. `CK_ISA_SCALAR` is portable C, `CK_ISA_NEON` has dot products,
// `CK_ISA_I8MM` products of int8 matrices beside them.
typedef enum ck_isa {
    CK_ISA_SCALAR = 0,
    CK_ISA_AVX2 = 1,
    CK_ISA_AVX512 = 2,
    CK_ISA_NEON = 3,
    CK_ISA_I8MM = 4
} ck_isa;

// True when this machine (processor and operating system) can run `isa`.
int ck_isa_available(ck_isa isa);
// The best instruction set of this machine.
ck_isa ck_isa_best(void);
// Chooses the instruction set of all later calls; before the first choice it is the best one.
// Returns 0 and changes nothing when the machine cannot run it.
int ck_isa_select(ck_isa isa);
ck_isa ck_isa_selected(void);

// How a format wants the other operand of a product.
typedef enum ck_act {
    CK_ACT_F32 = 0,    // float values as they are
    CK_ACT_Q8_32 = 1,  // int8 with one float scale per 32 values
    CK_ACT_Q8_256 = 2, // int8 with one float scale per 256 values
    CK_ACT_BF16 = 3    // bfloat16
} ck_act;

// A weight format. A row of `cols` weights is cols / block blocks of block_bytes bytes; cols is a multiple of block.
typedef struct ck_format {
    uint32_t gguf_type;    // ggml type number
    const char *name;      // ggml type name, upper case
    uint32_t block;        // values per block
    uint32_t block_bytes;  // bytes per block
    ck_act act;            // what ck_matmul expects as activations
} ck_format;

// The supported formats, in rising order of their ggml type number.
size_t ck_format_count(void);
const ck_format *ck_format_at(size_t i);
// NULL when the type is not supported.
const ck_format *ck_format_find(uint32_t gguf_type);

// The codebook of a format (IQ1, IQ2, IQ3) that writes several adjoining values as one index.
typedef struct ck_grid {
    uint32_t gguf_type;
    uint32_t count;         // codes
    uint32_t values;        // per code
    uint32_t bits;          // per value: codes[i] >> (k * bits) & (2^bits - 1) is the number of value k's level
    int8_t levels[8];       // by number; without signs, which IQ2 and IQ3 write elsewhere
    const uint16_t *codes;  // by index
} ck_grid;
// NULL when the format has none.
const ck_grid *ck_grid_find(uint32_t gguf_type);

// What stands beside the codes: signs of IQ2 and IQ3, the shift of IQ1 by an eighth up or down.
typedef enum ck_grid_rule {
    CK_GRID_FREE_SIGNS = 0,
    CK_GRID_EVEN_SIGNS = 1,   // of eight values an even number is negative
    CK_GRID_SHIFT_PER_8 = 2,
    CK_GRID_ONE_SHIFT = 3     // for all values of a call
} ck_grid_rule;

// The codes with the least Σ w (x - scale * value)² for `count` numbers x, a multiple of 8. index: one per grid->values
// numbers; sign: one per 8, bit i set where number i is negative, 255 where the shift is down; value: levels with their
// sign or shift.
void ck_grid_choose(const ck_grid *grid, ck_grid_rule rule, const float *x, const float *w, size_t count, float scale,
                    uint16_t *index, uint8_t *sign, float *value);

// Bytes of one prepared row of activations (one token); a multiple of 64.
size_t ck_act_row_bytes(ck_act act, size_t cols);
// Prepares one row. `out` is 64-byte aligned; any float is allowed: a group with an infinity or a NaN yields
// NaN products, a group whose largest magnitude is below 2^-100 counts as zero. CK_ACT_F32 copies, CK_ACT_BF16 rounds
// each value to the nearest, ties to even.
void ck_quantize(ck_act act, const float *x, size_t cols, void *out);

// Bytes of 64-byte aligned scratch memory that each thread passes to ck_matmul.
size_t ck_matmul_scratch_bytes(const ck_format *f, size_t cols);
// y[t * y_stride + r] = sum over k of W[r][k] * x[t][k], for r in [0, rows) and t in [0, tokens).
// w: [rows][cols] weights, rows adjoining. Activation row t lies at act + index[t] * act_stride bytes
// (index NULL: t); act and act_stride are multiples of 64. Same bits for any split of rows or tokens.
void ck_matmul(const ck_format *f, const void *w, size_t rows, size_t cols, const void *act, size_t act_stride,
               const int32_t *index, size_t tokens, float *y, size_t y_stride, void *scratch);
// One row of weights as floats, exactly the values the format defines.
void ck_dequantize(const ck_format *f, const void *w, size_t cols, float *out);

// The same with the instruction set named by the caller, for tests and measurements. A kernel that is not
// written for `isa` falls back to a weaker one; `isa` must be available.
void ck_quantize_with(ck_isa isa, ck_act act, const float *x, size_t cols, void *out);
void ck_matmul_with(ck_isa isa, const ck_format *f, const void *w, size_t rows, size_t cols, const void *act,
                    size_t act_stride, const int32_t *index, size_t tokens, float *y, size_t y_stride,
                    void *scratch);

#endif
