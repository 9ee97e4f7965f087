// The product for two and more tokens with AVX-512: sixteen rows × 256 columns are brought into the order of the
// four-way dot product without unpacking them, then used for up to eight tokens at a time, each of which unpacks them in
// registers. So a strip costs little for a few tokens, and its few bytes stay in the first-level cache for many.
#ifndef CK_STRIP_H
#define CK_STRIP_H

#include "activations.h"
#include "blocks.h"

#define CK_STRIP_ROWS 16
#define CK_STRIP_TOKENS 8

// Sixteen rows × 256 columns. A vector holds four bytes (or one number) of each row.
typedef struct ck_strip {
    uint8_t q[64][64];         // [..][row][4]: the format's packed bytes, in an order of its own
    uint8_t bytes[64][64];     // [column / 4][row][column % 4]: unpacked, once that is worth while
    int32_t scale[16][16];     // [group][row]: integer scales of the 256-value formats
    int32_t extra[2][16][16];  // [..][group][row]: what else a format needs to apply them
    int16_t min[8][32];        // [pair of groups][row][2]: their integer minima
    float d[8][16];            // [block of 32][row]; the 256-value formats use [0]
    float m[8][16];            // likewise m, or dmin
} ck_strip;

// A strip and one to eight tokens.
typedef struct ck_strip_job {
    const ck_strip *strip;
    size_t blocks;                  // Q8_32: blocks of 32 in the strip, 1…8
    const int8_t *const *q;         // each token's int8 values
    const uint8_t *const *aux;      // Q8_32: each token's d; Q8_256: its ck_act256
    size_t q_offset, aux_offset;    // bytes from there to the strip's first column
    size_t s_offset, nsum_offset, first_offset;  // Q8_32: bytes from d to s, to nsum and to nsum_first
    float *acc;                     // [token][16], read and written
} ck_strip_job;

// One token's activations of 256 columns.
typedef struct ck_strip_act256 {
    int8_t q[256];
    ck_act256 g;
} ck_strip_act256;

// The strip that is packed while another one is multiplied.
typedef struct ck_strip_next {
    uint8_t rows_transposed[4][4][64];  // halfway packed
    const uint8_t *row[CK_STRIP_ROWS];
    const void *act;       // [token] of the strip that is multiplied, adjoining: one address instead of sixteen
    const uint8_t *ahead;  // as many bytes of weights from here on are asked for as a strip has
    ck_strip *strip;
} ck_strip_next;

typedef void (*ck_strip_fn)(const ck_strip_job *job);
typedef void (*ck_strip_packing_fn)(const ck_strip_job *job, ck_strip_next *next);

// The code of one format.
typedef struct ck_strip_code {
    size_t block, block_bytes;  // with 256 columns to a block activations are Q8_256, else Q8_32
    // Fills all of a strip but `bytes` from each row: from one block of 256 values, or from `blocks` times 32, at most 8.
    void (*pack)(const uint8_t *const row[CK_STRIP_ROWS], size_t blocks, ck_strip *strip);
    // Fills `bytes`; more than `packed_tokens` tokens are worth it.
    void (*unpack)(ck_strip *strip);
    size_t packed_tokens;
    // One function per count of tokens, 1…CK_STRIP_TOKENS: from the packed bytes and from the unpacked ones.
    ck_strip_fn packed[CK_STRIP_TOKENS], unpacked[CK_STRIP_TOKENS];
    // `packed`, while the next strip is packed; NULL where a format has no such code for so many tokens.
    ck_strip_packing_fn packing[CK_STRIP_TOKENS];
} ck_strip_code;

void ck_strip_matmul(const ck_job *job, const ck_strip_code *code);

// Scratch bytes of ck_strip_matmul.
size_t ck_strip_scratch_bytes(size_t cols);

#endif
