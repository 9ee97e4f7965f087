#include "strip.h"

// Tokens whose accumulators are kept beside the strips; more tokens pack the strips again.
#define CK_PART_TOKENS 256
// Strips that go through all tokens together, so that activations are read from the second level once for both.
#define CK_PAIR 2
// Up to this many bytes of activations stay in the second-level cache beside the next rows.
#define CK_NEAR_BYTES (384 << 10)

typedef struct strip_scratch {
    ck_strip strip[CK_PAIR];
    float acc[CK_PAIR][CK_PART_TOKENS][CK_STRIP_ROWS];
    ck_strip_next next;
    const int8_t *q[CK_PART_TOKENS];
    const uint8_t *aux[CK_PART_TOKENS];
    _Alignas(64) ck_strip_act256 act[];  // [column / 256][token] of few tokens
} strip_scratch;

size_t ck_strip_scratch_bytes(size_t cols) {
    return sizeof(strip_scratch) + ck_round_up(cols, 256) / 256 * CK_STRIP_TOKENS * sizeof(ck_strip_act256);
}

static void place_tokens(const ck_job *job, size_t block, size_t first, size_t tokens, strip_scratch *scratch) {
    for (size_t t = 0; t < tokens; t++) {
        const uint8_t *row = ck_job_act(job, first + t);
        scratch->q[t] = (const int8_t *)row;
        scratch->aux[t] = block < 256 ? (const uint8_t *)ck_act32_view(row, job->cols).d
                                      : (const uint8_t *)ck_act256_view(row, job->cols).g;
    }
}

static void prefetch_tokens(const ck_strip_job *now, size_t from, size_t count) {
    for (size_t i = from; i < from + count; i++) {
        for (int line = 0; line < 4; line++) __builtin_prefetch(now->q[i] + now->q_offset + 64 * line);
        for (int line = 0; line < 3; line++) __builtin_prefetch(now->aux[i] + now->aux_offset + 64 * line);
    }
}

// Tokens are shared out evenly: nine go as five and four.
static size_t next_count(size_t rest) {
    size_t parts = (rest + CK_STRIP_TOKENS - 1) / CK_STRIP_TOKENS;
    return parts ? (rest + parts - 1) / parts : 0;
}

// All tokens × `strips` strips of the columns from `column` on.
static void run_tiles(const ck_job *job, const ck_strip_code *code, const ck_strip_fn *tiles, size_t column,
                      size_t blocks, size_t tokens, size_t strips, strip_scratch *scratch) {
    size_t array_bytes = 4 * ck_act32_groups(job->cols);
    ck_strip_job now = {
        .blocks = blocks,
        .q = scratch->q,
        .aux = scratch->aux,
        .q_offset = column,
        .aux_offset = code->block < 256 ? column / 32 * sizeof(float) : column / 256 * sizeof(ck_act256),
        .s_offset = array_bytes,
        .nsum_offset = 2 * array_bytes,
        .first_offset = 3 * array_bytes,
    };
    size_t count = next_count(tokens);
    for (size_t t = 0; t < tokens;) {
        size_t following = next_count(tokens - t - count);
        prefetch_tokens(&now, count, following);
        for (size_t s = 0; s < strips; s++) {
            now.strip = &scratch->strip[s];
            now.acc = scratch->acc[s][t];
            tiles[count - 1](&now);
        }
        now.q += count;
        now.aux += count;
        t += count;
        count = following;
    }
}

// Two ways to ask for weights before they are needed. While activations leave room for them in the second level: the share
// of the next strips that belongs to bytes [from, to) of these rows, in the order of memory, which the processor's own
// prefetching follows.
static void prefetch_strips(const uint8_t *w, size_t rows, size_t row_bytes, size_t from, size_t to) {
    const uint8_t *next = w + rows * row_bytes;
    for (size_t at = rows * from; at < rows * to; at += 64) __builtin_prefetch(next + at, 0, 2);
}

// And into the first level, once there is enough work before they are needed: the next `bytes` bytes of the same rows.
static void prefetch_columns(const uint8_t *w, size_t rows, size_t row_bytes, size_t offset, size_t bytes) {
    size_t ahead = offset + bytes < row_bytes ? offset + bytes : rows * row_bytes;
    for (size_t r = 0; r < rows; r++) {
        for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(w + r * row_bytes + ahead + line);
    }
}

// `rows` rows, at most CK_PAIR strips of them, × `tokens` tokens.
static void multiply(const ck_job *job, const ck_strip_code *code, const uint8_t *w, size_t rows, size_t tokens,
                     int near, strip_scratch *scratch) {
    const size_t strips = (rows + CK_STRIP_ROWS - 1) / CK_STRIP_ROWS;
    const int unpacked = tokens > code->packed_tokens;
    const uint8_t *row[CK_PAIR][CK_STRIP_ROWS];
    for (size_t s = 0; s < strips; s++) {
        memset(scratch->acc[s], 0, tokens * sizeof scratch->acc[s][0]);
        for (size_t i = 0; i < CK_STRIP_ROWS; i++) {
            // Rows past the end repeat the last one.
            size_t at = s * CK_STRIP_ROWS + i;
            row[s][i] = w + (at < rows ? at : rows - 1) * job->row_bytes;
        }
    }
    for (size_t column = 0; column < job->cols; column += 256) {
        size_t columns = job->cols - column < 256 ? job->cols - column : 256, blocks = columns / 32;
        size_t bytes = columns / code->block * code->block_bytes, offset = column / code->block * code->block_bytes;
        // In two parts: all at once they would hold every buffer for what misses the first level.
        if (near) prefetch_strips(w, rows, job->row_bytes, offset, offset + bytes / 2);
        for (size_t s = 0; s < strips; s++) {
            code->pack(row[s], blocks, &scratch->strip[s]);
            if (unpacked) code->unpack(&scratch->strip[s]);
            for (size_t i = 0; i < CK_STRIP_ROWS; i++) row[s][i] += bytes;
        }
        if (near) prefetch_strips(w, rows, job->row_bytes, offset + bytes / 2, offset + bytes);
        if (tokens > CK_STRIP_TOKENS) prefetch_columns(w, rows, job->row_bytes, offset, bytes);
        run_tiles(job, code, unpacked ? code->unpacked : code->packed, column, blocks, tokens, strips, scratch);
    }
}

// The results of a strip's first `count` rows.
static void store(const ck_job *job, float (*acc)[CK_STRIP_ROWS], size_t first, size_t tokens, size_t row,
                  size_t count) {
    float *y = job->y + first * job->y_stride + row;
    if (count == CK_STRIP_ROWS) {
        // A size known to the compiler needs no call.
        for (size_t t = 0; t < tokens; t++) memcpy(y + t * job->y_stride, acc[t], sizeof acc[t]);
    } else {
        for (size_t t = 0; t < tokens; t++) memcpy(y + t * job->y_stride, acc[t], count * sizeof(float));
    }
}

// The sixteen rows from `first` on; rows past the end repeat the last one.
static void place_rows(const ck_job *job, size_t first, const uint8_t **row) {
    for (size_t i = 0; i < CK_STRIP_ROWS; i++) {
        row[i] = job->w + (first + i < job->rows ? first + i : job->rows - 1) * job->row_bytes;
    }
}

// At most CK_STRIP_TOKENS tokens: two strips take turns, each packed while the other one is multiplied.
static void multiply_few(const ck_job *job, const ck_strip_code *code, strip_scratch *scratch) {
    const size_t blocks = 8, bytes = code->block_bytes;
    ck_strip_next *next = &scratch->next;
    place_tokens(job, code->block, 0, job->tokens, scratch);
    for (size_t t = 0; t < job->tokens; t++) {
        ck_act256_row row = ck_act256_view(ck_job_act(job, t), job->cols);
        for (size_t b = 0; b < job->cols / 256; b++) {
            ck_strip_act256 *act = &scratch->act[b * job->tokens + t];
            memcpy(act->q, row.q + 256 * b, sizeof act->q);
            act->g = row.g[b];
        }
    }
    place_rows(job, 0, next->row);
    code->pack(next->row, blocks, &scratch->strip[0]);
    size_t turn = 0;
    for (size_t r = 0; r < job->rows; r += CK_STRIP_ROWS) {
        memset(scratch->acc[0], 0, job->tokens * sizeof scratch->acc[0][0]);
        for (size_t column = 0; column < job->cols; column += 256) {
            const size_t offset = column / 256 * bytes + bytes;
            ck_strip_job now = {
                .strip = &scratch->strip[turn],
                .blocks = blocks,
                .q = scratch->q,
                .aux = scratch->aux,
                .q_offset = column,
                .aux_offset = column / 256 * sizeof(ck_act256),
                .acc = scratch->acc[0][0],
            };
            turn = 1 - turn;
            if (offset < job->row_bytes) {
                for (size_t i = 0; i < CK_STRIP_ROWS; i++) next->row[i] += bytes;
            } else if (r + CK_STRIP_ROWS < job->rows) {
                place_rows(job, r + CK_STRIP_ROWS, next->row);
            } else {
                code->packed[job->tokens - 1](&now);
                break;
            }
            next->strip = &scratch->strip[turn];
            next->act = &scratch->act[column / 256 * job->tokens];
            next->ahead = job->w + (r + CK_STRIP_ROWS) * job->row_bytes + CK_STRIP_ROWS * offset;
            code->packing[job->tokens - 1](&now, next);
        }
        size_t count = job->rows - r < CK_STRIP_ROWS ? job->rows - r : CK_STRIP_ROWS;
        store(job, scratch->acc[0], 0, job->tokens, r, count);
    }
}

void ck_strip_matmul(const ck_job *job, const ck_strip_code *code) {
    strip_scratch *scratch = job->scratch;
    if (job->tokens <= CK_STRIP_TOKENS && code->packing[job->tokens - 1]) {
        multiply_few(job, code, scratch);
        return;
    }
    size_t parts = (job->tokens + CK_PART_TOKENS - 1) / CK_PART_TOKENS;
    size_t part = ck_round_up((job->tokens + parts - 1) / parts, CK_STRIP_TOKENS);
    size_t group = job->tokens <= CK_STRIP_TOKENS ? CK_STRIP_ROWS : CK_PAIR * CK_STRIP_ROWS;
    int near = job->tokens * job->act_stride <= CK_NEAR_BYTES;
    for (size_t first = 0; first < job->tokens; first += part) {
        size_t tokens = job->tokens - first < part ? job->tokens - first : part;
        place_tokens(job, code->block, first, tokens, scratch);
        for (size_t r = 0; r < job->rows; r += group) {
            size_t rows = job->rows - r < group ? job->rows - r : group;
            multiply(job, code, job->w + r * job->row_bytes, rows, tokens, near, scratch);
            for (size_t at = 0; at < rows; at += CK_STRIP_ROWS) {
                size_t count = rows - at < CK_STRIP_ROWS ? rows - at : CK_STRIP_ROWS;
                store(job, scratch->acc[at / CK_STRIP_ROWS], first, tokens, r + at, count);
            }
        }
    }
}
