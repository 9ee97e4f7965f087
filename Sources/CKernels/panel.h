// The batched product with AVX2: 32 rows × 256 columns of any format are unpacked once to bytes in the order of the
// dot-product instructions, then one tile runs over all tokens. AVX-512 has strips instead (strip.h).
#ifndef CK_PANEL_H
#define CK_PANEL_H

#include "activations.h"
#include "blocks.h"

#define CK_PANEL_ROWS 32
#define CK_TILE_TOKENS 6

// 32 rows (two halves of 16) × 256 columns, small enough to stay in the first-level cache.
//
// What q and scale hold is between the code that unpacks a format and its tile: see avx2_256.h and avx2_32.h.
typedef struct ck_panel {
    uint8_t q[64][2][64];      // [column / 4][half][row][column % 4]
    int32_t scale[16][2][16];  // [group][half][row]: integer scales of the 256-value formats
    int16_t min[8][2][32];     // [pair of groups][half][row][2]: their integer minima
    float d[8][2][16];         // [block of 32][half][row]; the 256-value formats use [0]
    float m[8][2][16];         // likewise m, or dmin
} ck_panel;

// One tile's operands for one panel.
typedef struct ck_tile {
    const ck_panel *panel;
    size_t tokens;
    size_t blocks;                          // Q8_32: blocks of 32 in the panel, 1…8
    const int8_t *q[CK_TILE_TOKENS];        // 256 int8 of each token
    const uint8_t *aux[CK_TILE_TOKENS];     // Q8_32: its d of the panel's first block; Q8_256: its ck_act256
    size_t s_offset, nsum_offset;           // Q8_32: bytes from d to s and to nsum
    float *acc;                             // [token][32], read and written
} ck_tile;

typedef void (*ck_tile_fn)(const ck_tile *tile);
// Fills a panel from `rows` (1…32) rows of `blocks` times 32 columns each. Rows past the end repeat the last one.
// `ahead`: bytes from a row's block to what the next call will read, for prefetching.
typedef void (*ck_unpack_fn)(const uint8_t *w, size_t row_bytes, size_t rows, size_t blocks, ptrdiff_t ahead,
                             ck_panel *panel);

// block: columns of a block of `block_bytes` bytes; with 256 the activations are Q8_256, else Q8_32.
// tiles: one function per count of tokens, 1…CK_TILE_TOKENS.
void ck_panel_matmul(const ck_job *job, size_t block, size_t block_bytes, ck_unpack_fn unpack,
                     const ck_tile_fn tiles[CK_TILE_TOKENS]);

// Scratch bytes of the batched product.
size_t ck_panel_scratch_bytes(void);

#endif
