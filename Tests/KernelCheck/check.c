// Compares kernels with portable C, bit for bit, without Swift: for instruction sets that this machine only emulates.
//
//   check        all instruction sets of the processor
//   check NAME   its best one, which must be the one of that name
//
// Exit code 0 when all bits agree. The digest of all results is the same on every processor.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ckernels.h"
#include "ckfloat.h"

static const char *const names[] = {"scalar", "avx2", "avx512", "neon", "i8mm"};  // as in InstructionSet.swift

enum { ROWS = 37, TOKENS = 67, FILLS = 5 };

static uint32_t state = 1;
static uint32_t next_random(void) {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

// Bytes that end at an unreadable page.
static uint8_t *guarded(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (size + page - 1) / page * page;
    uint8_t *map = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + bytes, page, PROT_NONE) != 0) exit(2);
    return map + bytes - size;
}

static void *aligned(size_t size) {
    void *p = aligned_alloc(64, (size + 63) / 64 * 64 + 64);
    if (!p) exit(2);
    return p;
}

// Fills: 0 moderate floats, 1 any bits, 2 all bits set, 3 the highest bit of each byte; these two with activations
// of one sign, for the largest sums; 4 products about 2^-126 and subnormal operands where the format has such numbers.
static void fill_weights(const ck_format *f, uint8_t *w, size_t blocks, int fill) {
    for (size_t i = 0; i < blocks * f->block_bytes; i++) {
        w[i] = fill == 2 ? 0xff : fill == 3 ? 0x80 : (uint8_t)next_random();
    }
    if (fill == 1) return;
    if (fill == 4 && f->block == 1) {
        for (size_t i = f->block_bytes - 1; i < blocks * f->block_bytes; i += f->block_bytes) w[i] &= 0xa3;
        return;
    }
    // One block at a time, until none of its floats is infinite, NaN or huge: clear exponent bits where they are.
    float values[256];
    for (size_t b = 0; b < blocks; b++) {
        uint8_t *block = w + b * f->block_bytes;
        for (size_t i = 0; i < f->block_bytes; i++) {
            ck_dequantize(f, block, f->block, values);
            int large = 0;
            for (uint32_t k = 0; k < f->block; k++) large |= !(values[k] > -1e6f && values[k] < 1e6f);
            if (!large) break;
            // Scales stand at the start or at the end of a block.
            size_t at = i % 2 ? f->block_bytes - 1 - i / 2 : i / 2;
            block[at] &= 0x83;
        }
    }
}

// FNV-1a of products, any NaN as the same one.
static uint64_t digest;
static void add_to_digest(const float *y, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = 0x7fc00000;
        if (y[i] == y[i]) memcpy(&bits, &y[i], sizeof bits);
        for (int k = 0; k < 32; k += 8) digest = (digest ^ (bits >> k & 255)) * 0x100000001b3u;
    }
}

static int equal(float a, float b) { return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b); }

static int check(ck_isa isa, const ck_format *f, size_t cols, int fill) {
    size_t blocks = cols / f->block * ROWS, row_bytes = cols / f->block * f->block_bytes;
    uint8_t *w = guarded(blocks * f->block_bytes);
    fill_weights(f, w, blocks, fill);
    size_t stride = ck_act_row_bytes(f->act, cols);
    uint8_t *act = aligned(stride * TOKENS);
    memset(act, 0, stride * TOKENS);
    float *x = aligned(4 * cols);
    for (size_t t = 0; t < TOKENS; t++) {
        for (size_t i = 0; i < cols; i++) {
            x[i] = ((float)next_random() * 0x1p-23f - 1.0f) * (fill == 4 ? 0x1p-63f : 3.0f);
            if (fill == 2 || fill == 3) x[i] = t % 2 ? -1.0f : 1.0f;
        }
        ck_quantize_with(CK_ISA_SCALAR, f->act, x, cols, act + t * stride);
        uint8_t *other = aligned(stride);
        memset(other, 0, stride);
        ck_quantize_with(isa, f->act, x, cols, other);
        if (memcmp(other, act + t * stride, f->act == CK_ACT_F32 ? 4 * cols : stride) != 0) {
            printf("%s: activations differ, %zu columns\n", f->name, cols);
            return 1;
        }
        free(other);
    }
    void *scratch = aligned(ck_matmul_scratch_bytes(f, cols));
    float *expected = aligned(4 * TOKENS * ROWS), *found = aligned(4 * TOKENS * ROWS);
    ck_matmul_with(CK_ISA_SCALAR, f, w, ROWS, cols, act, stride, NULL, TOKENS, expected, ROWS, scratch);
    add_to_digest(expected, TOKENS * ROWS);
    // Every count up to 17, then what needs a second and a third turn.
    const size_t row_counts[] = {1, 3, 4, 16, 17, ROWS};
    int failed = 0;
    for (size_t tokens = 1; tokens <= TOKENS; tokens += tokens < 17 ? 1 : tokens < 33 ? 8 : 17) {
        for (size_t j = 0; j < sizeof row_counts / sizeof *row_counts; j++) {
            size_t rows = row_counts[j], first = ROWS - rows;
            int32_t index[TOKENS];
            for (size_t t = 0; t < tokens; t++) index[t] = (int32_t)(j % 2 ? (t * 5 + 3) % TOKENS : t);
            ck_matmul_with(isa, f, w + first * row_bytes, rows, cols, act, stride, j % 2 ? index : NULL, tokens, found,
                           rows, scratch);
            for (size_t t = 0; t < tokens && !failed; t++) {
                for (size_t r = 0; r < rows && !failed; r++) {
                    float a = found[t * rows + r], b = expected[(size_t)index[t] * ROWS + first + r];
                    if (equal(a, b)) continue;
                    printf("%s: %zu columns, %zu rows, %zu tokens, fill %d: row %zu, token %zu is %a, not %a\n", f->name,
                           cols, rows, tokens, fill, r, t, (double)a, (double)b);
                    failed = 1;
                }
            }
        }
    }
    free(act), free(x), free(scratch), free(expected), free(found);
    return failed;
}

// Every half float, against its definition.
static int check_halves(void) {
    int failed = 0;
    for (uint32_t bits = 0; bits < 1u << 16; bits++) {
        const uint16_t half = (uint16_t)bits;
        const int exponent = half >> 10 & 31, fraction = half & 1023;
        float expected = exponent == 31 ? (fraction ? NAN : INFINITY)
                         : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                                        : ldexpf((float)fraction, -24);
        float found;
        if (half >> 15) expected = -expected;
        ck_dequantize(ck_format_find(1), &half, 1, &found);
        failed += !equal(found, expected);
    }
    if (failed) printf("%d half floats differ\n", failed);
    return failed;
}

// A layer of one KV head with `tokens` tokens behind `start` others.
typedef struct attention_case {
    ck_kv kv;
    size_t start, tokens, heads, window;
    float *q;
} attention_case;

static attention_case attention_of(ck_cache type, size_t dim, size_t window) {
    const int words = type == CK_CACHE_WORDS, q8 = type == CK_CACHE_Q8_0;
    attention_case c = {.start = 300, .tokens = 21, .heads = 3, .window = window};
    size_t positions = (c.start + c.tokens + 15) / 16 * 16, padded = (dim + 15) / 16 * 16;
    c.kv = (ck_kv){.key_type = type, .value_type = type, .key_dim = dim, .value_dim = padded, .positions = positions};
    c.kv.key_tile_bytes = 16 * (words ? (dim + 1) / 2 * 4 + (dim + 31) / 32 * 4 : q8 ? dim + dim / 16 : dim * 4);
    c.kv.value_row_bytes = words ? padded * 2 + 4 : q8 ? padded + padded / 16 : padded * 4;
    c.kv.keys = aligned(positions / 16 * c.kv.key_tile_bytes);
    c.kv.values = aligned(positions * c.kv.value_row_bytes);
    // What no token sees may be anything.
    memset(c.kv.keys, 0xff, positions / 16 * c.kv.key_tile_bytes);
    memset(c.kv.values, 0x7f, positions * c.kv.value_row_bytes);
    float *key = aligned(4 * dim), *value = aligned(4 * dim);
    for (size_t p = 0; p < c.start + c.tokens; p++) {
        for (size_t i = 0; i < dim; i++) {
            key[i] = (float)next_random() * 0x1p-23f - 1.0f;
            value[i] = ((float)next_random() * 0x1p-23f - 1.0f) * (p % 7 == 2 ? 100.0f : 1.0f);
        }
        ck_kv_store(&c.kv, 0, p, key, value, dim);
    }
    c.q = aligned(4 * c.tokens * c.heads * dim);
    for (size_t i = 0; i < c.tokens * c.heads * dim; i++) c.q[i] = (float)next_random() * 0x1p-21f - 4.0f;
    free(key);
    free(value);
    return c;
}

// All tokens, `step` at a time; out: [tokens][heads][value_dim].
static void attend(const attention_case *c, size_t step, float *out) {
    const size_t row_floats = ck_attention_row_floats(&c->kv), width = c->kv.value_dim;
    for (size_t t = 0; t < c->tokens; t += step) {
        ck_attention_tile tile = {.kv = &c->kv, .q = c->q + t * c->heads * c->kv.key_dim, .heads = c->heads};
        tile.q_token_stride = c->heads * c->kv.key_dim;
        tile.q_head_stride = c->kv.key_dim;
        tile.tokens = c->tokens - t < step ? c->tokens - t : step;
        tile.position = c->start + t;
        tile.window = c->window;
        tile.scale = 0.25f;
        const size_t rows = tile.tokens * tile.heads;
        void *scratch = aligned(ck_attention_scratch_bytes(&c->kv, rows));
        float *sums = aligned(2 * rows * row_floats * 4), *part = sums + rows * row_floats;
        ck_attention_queries(&tile, scratch);
        for (size_t r = 0; r < rows; r++) ck_attention_start(sums + r * row_floats, width);
        for (size_t b = 0; b * CK_ATTENTION_BLOCK < tile.position + tile.tokens; b++) {
            ck_attention_block(&tile, b, part, scratch);
            for (size_t r = 0; r < rows; r++) ck_attention_merge(sums + r * row_floats, part + r * row_floats, width);
        }
        for (size_t r = 0; r < rows; r++) {
            ck_attention_finish(sums + r * row_floats, width, NULL, width, out + (t * c->heads + r) * width);
        }
        free(scratch);
        free(sums);
    }
}

// Attention over every kind of cache: the bits of portable C, however many tokens are computed at once.
static int check_attention(ck_isa isa) {
    static const struct { ck_cache type; size_t dim, window; } cases[] = {
        {CK_CACHE_F32, 33, 0},   {CK_CACHE_F32, 128, 100}, {CK_CACHE_WORDS, 5, 0},   {CK_CACHE_WORDS, 80, 40},
        {CK_CACHE_WORDS, 64, 0}, {CK_CACHE_WORDS, 256, 0}, {CK_CACHE_Q8_0, 64, 270}, {CK_CACHE_Q8_0, 128, 0},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_isa_select(CK_ISA_SCALAR);
        attention_case c = attention_of(cases[i].type, cases[i].dim, cases[i].window);
        const size_t count = c.tokens * c.heads * c.kv.value_dim;
        float *expected = aligned(4 * count), *found = aligned(4 * count);
        attend(&c, 1, expected);
        add_to_digest(expected, count);
        ck_isa_select(isa);
        for (size_t step = 1; step <= c.tokens; step += 4) {
            attend(&c, step, found);
            for (size_t k = 0; k < count; k++) {
                // The values are finite, so a sum is not a number only where something was read that no token sees.
                if (memcmp(&expected[k], &found[k], sizeof *found) == 0 && found[k] == found[k]) continue;
                printf("attention case %zu: %zu tokens at once differ at %zu\n", i, step, k);
                failed++;
                break;
            }
        }
        free(c.kv.keys);
        free(c.kv.values);
        free(c.q);
        free(expected);
        free(found);
    }
    return failed;
}

static int check_all(ck_isa isa) {
    static const struct { uint32_t block; size_t cols[6]; } shapes[] = {
        {1, {1, 7, 16, 33, 100, 272}}, {32, {32, 96, 128, 288, 544, 1056}}, {64, {64, 128, 192, 320, 576, 1088}},
        {128, {128, 256, 384, 640, 1152}}, {256, {256, 512, 1280}},
    };
    int passed = 0, failed = check_halves();
    state = 1;
    digest = 0xcbf29ce484222325u;
    for (size_t i = 0; i < ck_format_count(); i++) {
        const ck_format *f = ck_format_at(i);
        const size_t *cols = NULL;
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            if (shapes[k].block == f->block) cols = shapes[k].cols;
        }
        if (!cols) printf("%s: no shapes for blocks of %u\n", f->name, f->block), failed++;
        for (int c = 0; cols && c < 6 && cols[c]; c++) {
            for (int fill = 0; fill < FILLS; fill++) check(isa, f, cols[c], fill) ? failed++ : passed++;
        }
    }
    failed += check_attention(isa);
    printf("%s: %d passed, %d failed, digest %016llx\n", names[isa], passed, failed, (unsigned long long)digest);
    return failed;
}

int main(int count, char **arguments) {
    const ck_isa best = ck_isa_best();
    if (count > 1) {
        if (strcmp(arguments[1], names[best]) == 0) return check_all(best) != 0;
        printf("the best instruction set of this processor is %s, not %s\n", names[best], arguments[1]);
        return 2;
    }
    int failed = 0;
    for (ck_isa isa = CK_ISA_SCALAR; isa <= CK_ISA_I8MM; isa++) {
        if (ck_isa_available(isa)) failed += check_all(isa);
    }
    return failed != 0;
}
