#include "panel.h"

// Tokens whose accumulators are kept beside the panel; more tokens unpack the panel again.
#define CK_PANEL_TOKENS 192

typedef struct ck_panel_scratch {
    ck_panel panel;
    float acc[CK_PANEL_TOKENS][CK_PANEL_ROWS];
} ck_panel_scratch;

size_t ck_panel_scratch_bytes(void) { return sizeof(ck_panel_scratch); }

static void prefetch_tokens(const ck_tile *tile, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (int line = 0; line < 4; line++) __builtin_prefetch(tile->q[i] + 64 * line);
        for (int line = 0; line < 3; line++) __builtin_prefetch(tile->aux[i] + 64 * line);
    }
}

// The operands of tokens [first, first + count) for columns from `column` on.
static void place_tokens(const ck_job *job, size_t block, size_t column, size_t first, size_t count, ck_tile *tile) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *row = ck_job_act(job, first + i);
        if (block < 256) {
            ck_act32_row act = ck_act32_view(row, job->cols);
            tile->q[i] = act.q + column;
            tile->aux[i] = (const uint8_t *)(act.d + column / 32);
        } else {
            ck_act256_row act = ck_act256_view(row, job->cols);
            tile->q[i] = act.q + column;
            tile->aux[i] = (const uint8_t *)(act.g + column / 256);
        }
    }
}

static void run_tiles(const ck_job *job, size_t block, size_t column, size_t blocks, size_t first, size_t tokens,
                      ck_panel_scratch *scratch, const ck_tile_fn tiles[CK_TILE_TOKENS]) {
    size_t array_bytes = 4 * ck_act32_groups(job->cols);
    ck_tile now = {.panel = &scratch->panel, .blocks = blocks, .s_offset = array_bytes,
                   .nsum_offset = 2 * array_bytes};
    ck_tile next = now;
    size_t count = tokens < CK_TILE_TOKENS ? tokens : CK_TILE_TOKENS;
    place_tokens(job, block, column, first, count, &now);
    for (size_t t = 0; t < tokens;) {
        size_t rest = tokens - t - count, next_count = rest < CK_TILE_TOKENS ? rest : CK_TILE_TOKENS;
        place_tokens(job, block, column, first + t + count, next_count, &next);
        prefetch_tokens(&next, next_count);
        now.acc = scratch->acc[t];
        now.tokens = count;
        tiles[count - 1](&now);
        t += count;
        count = next_count;
        now = next;
    }
}

void ck_panel_matmul(const ck_job *job, size_t block, size_t block_bytes, ck_unpack_fn unpack,
                     const ck_tile_fn tiles[CK_TILE_TOKENS]) {
    ck_panel_scratch *scratch = job->scratch;
    size_t parts = (job->tokens + CK_PANEL_TOKENS - 1) / CK_PANEL_TOKENS;
    size_t part = ck_round_up((job->tokens + parts - 1) / parts, CK_TILE_TOKENS);
    size_t panel_bytes = 256 / block * block_bytes;
    for (size_t first = 0; first < job->tokens; first += part) {
        size_t tokens = job->tokens - first < part ? job->tokens - first : part;
        for (size_t r = 0; r < job->rows; r += CK_PANEL_ROWS) {
            size_t rows = job->rows - r < CK_PANEL_ROWS ? job->rows - r : CK_PANEL_ROWS;
            const uint8_t *w = job->w + r * job->row_bytes;
            memset(scratch->acc, 0, tokens * sizeof scratch->acc[0]);
            for (size_t column = 0; column < job->cols; column += 256) {
                size_t columns = job->cols - column < 256 ? job->cols - column : 256;
                size_t offset = column / block * block_bytes;
                ptrdiff_t ahead = (ptrdiff_t)panel_bytes;
                if (column + 256 >= job->cols) ahead = (ptrdiff_t)(rows * job->row_bytes) - (ptrdiff_t)offset;
                unpack(w + offset, job->row_bytes, rows, columns / 32, ahead, &scratch->panel);
                run_tiles(job, block, column, columns / 32, first, tokens, scratch, tiles);
            }
            for (size_t t = 0; t < tokens; t++) {
                memcpy(job->y + (first + t) * job->y_stride + r, scratch->acc[t], rows * sizeof(float));
            }
        }
    }
}
