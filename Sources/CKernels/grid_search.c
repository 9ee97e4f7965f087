// What writing a grid format needs: the codes nearest to values.
#include <float.h>

#include "grids.h"

// Σ w (level - x)² - Σ w x² of a code, as the sum of two entries: by the code's lower and by its upper half.
typedef struct costs {
    float low[256], high[256];
} costs;

// The costs of `values` / 2 values by their numbers of levels.
CK_INLINE void fill_half(const ck_grid *grid, const float *x, const float *w, float *out) {
    const uint32_t half = grid->values / 2, levels = 1u << grid->bits;
    // With two bits there are three levels.
    const uint32_t used = levels == 4 ? 3 : levels;
    uint32_t size = 1;
    out[0] = 0;
    for (uint32_t i = 0; i < half; i++) {
        float cost[8];
        for (uint32_t n = 0; n < levels; n++) {
            const float level = grid->levels[n];
            cost[n] = n < used ? w[i] * level * (level - 2 * x[i]) : INFINITY;
        }
        for (uint32_t n = levels; n-- > 0;) {
            for (uint32_t k = 0; k < size; k++) out[n * size + k] = out[k] + cost[n];
        }
        size *= levels;
    }
}

// The upper halves that codes have, and where the codes of each begin; they stand in rising order.
typedef struct halves {
    uint32_t count;
    uint8_t upper[256];
    uint16_t first[257];
} halves;

static void find_halves(const ck_grid *grid, halves *out) {
    const uint32_t shift = grid->values / 2 * grid->bits;
    out->count = 0;
    for (uint32_t i = 0; i < grid->count; i++) {
        const uint8_t upper = (uint8_t)(grid->codes[i] >> shift);
        if (out->count > 0 && out->upper[out->count - 1] == upper) continue;
        out->upper[out->count] = upper;
        out->first[out->count++] = (uint16_t)i;
    }
    out->first[out->count] = (uint16_t)grid->count;
}

// The best code for grid->values values, and its cost. Where even the cheapest lower half would not make an upper half
// the best one, its codes are left out.
static uint32_t nearest(const ck_grid *grid, const halves *halves, const float *x, const float *w, costs *costs,
                        float *cost) {
    const uint32_t half = grid->values / 2, size = 1u << (half * grid->bits);
    fill_half(grid, x, w, costs->low);
    fill_half(grid, x + half, w + half, costs->high);
    float cheapest = FLT_MAX, least = FLT_MAX;
    for (uint32_t i = 0; i < size; i++) cheapest = costs->low[i] < cheapest ? costs->low[i] : cheapest;
    uint32_t start = 0, best = 0;
    for (uint32_t i = 1; i < halves->count; i++) {
        if (costs->high[halves->upper[i]] < costs->high[halves->upper[start]]) start = i;
    }
    // From the cheapest upper half on, so that most others are left out.
    for (uint32_t i = 0; i < halves->count; i++) {
        const uint32_t at = start + i < halves->count ? start + i : start + i - halves->count;
        const float high = costs->high[halves->upper[at]];
        if (high + cheapest >= least) continue;
        for (uint32_t k = halves->first[at]; k < halves->first[at + 1]; k++) {
            const float found = costs->low[grid->codes[k] & (size - 1)] + high;
            if (found < least) least = found, best = k;
        }
    }
    *cost = least;
    return best;
}

static float level_at(const ck_grid *grid, uint32_t index, uint32_t value) {
    return grid->levels[grid->codes[index] >> (value * grid->bits) & ((1u << grid->bits) - 1)];
}

// Eight values with signs.
static void choose_signed(const ck_grid *grid, const halves *halves, int even, const float *x, const float *w,
                          float inverse, uint16_t *index, uint8_t *sign, float *value) {
    costs room;
    float magnitude[8];
    int bits = 0, odd = 0, cheapest = 0;
    for (int i = 0; i < 8; i++) {
        const int negative = x[i] * inverse < 0;
        magnitude[i] = fabsf(x[i] * inverse);
        bits |= negative << i;
        odd ^= negative;
        if (w[i] * magnitude[i] < w[cheapest] * magnitude[cheapest]) cheapest = i;
    }
    if (even && odd) {
        bits ^= 1 << cheapest;
        magnitude[cheapest] = -magnitude[cheapest];
    }
    for (uint32_t first = 0; first < 8; first += grid->values) {
        float cost;
        const uint32_t found = nearest(grid, halves, magnitude + first, w + first, &room, &cost);
        *index++ = (uint16_t)found;
        for (uint32_t i = 0; i < grid->values; i++) {
            const float level = level_at(grid, found, i);
            value[first + i] = bits >> (first + i) & 1 ? -level : level;
        }
    }
    *sign = (uint8_t)bits;
}

// Eight values with a shift; returns the cost.
static float choose_shifted(const ck_grid *grid, const halves *halves, int down, const float *x, const float *w,
                            float inverse, uint16_t *index, uint8_t *sign, float *value) {
    costs room;
    float at[8], cost, shift = down ? -0.125f : 0.125f, rest = 0;
    for (int i = 0; i < 8; i++) {
        at[i] = x[i] * inverse - shift;
        rest += w[i] * at[i] * at[i];
    }
    *index = (uint16_t)nearest(grid, halves, at, w, &room, &cost);
    *sign = down ? 255 : 0;
    for (uint32_t i = 0; i < 8; i++) value[i] = level_at(grid, *index, i) + shift;
    return cost + rest;
}

void ck_grid_choose(const ck_grid *grid, ck_grid_rule rule, const float *x, const float *w, size_t count, float scale,
                    uint16_t *index, uint8_t *sign, float *value) {
    const float inverse = scale == 0 ? 0 : 1 / scale;
    const size_t codes = 8 / grid->values;
    float total[2] = {0, 0};
    halves halves;
    find_halves(grid, &halves);
    for (size_t eight = 0; eight < count / 8; eight++) {
        const size_t at = 8 * eight;
        if (rule == CK_GRID_FREE_SIGNS || rule == CK_GRID_EVEN_SIGNS) {
            choose_signed(grid, &halves, rule == CK_GRID_EVEN_SIGNS, x + at, w + at, inverse, index + eight * codes,
                          sign + eight, value + at);
            continue;
        }
        uint16_t other_index;
        uint8_t other_sign;
        float other[8];
        float up = choose_shifted(grid, &halves, 0, x + at, w + at, inverse, index + eight, sign + eight, value + at);
        float down = choose_shifted(grid, &halves, 1, x + at, w + at, inverse, &other_index, &other_sign, other);
        total[0] += up;
        total[1] += down;
        if (rule == CK_GRID_SHIFT_PER_8 && down < up) {
            index[eight] = other_index;
            sign[eight] = other_sign;
            memcpy(value + at, other, sizeof other);
        }
    }
    if (rule != CK_GRID_ONE_SHIFT || total[0] <= total[1]) return;
    for (size_t eight = 0; eight < count / 8; eight++) {
        const size_t at = 8 * eight;
        choose_shifted(grid, &halves, 1, x + at, w + at, inverse, index + eight, sign + eight, value + at);
    }
}
