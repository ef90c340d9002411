#include "tool_random.h"

#include <math.h>

struct sl_random4 sl_tool_random(uint64_t seed, uint64_t a, uint32_t b, uint32_t c)
{
    uint32_t x0 = (uint32_t)a, x1 = (uint32_t)(a >> 32), x2 = b, x3 = c;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * x0, p1 = (uint64_t)0xCD9E8D57u * x2;
        uint32_t y0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0, y2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x0 = y0;
        x1 = (uint32_t)p1;
        x2 = y2;
        x3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (struct sl_random4){{x0, x1, x2, x3}};
}

double sl_tool_uniform(uint32_t word)
{
    return ((double)word + 0.5) * 0x1p-32;
}

double sl_tool_normal_quantile(double p)
{
    /* Newton's method on the upper tail. It starts left of the root of a convex function, so it
     * climbs to the root without ever passing it. */
    double tail = p > 0.5 ? 1 - p : p, z = 0;
    for (int i = 0; i < 100; i++) {
        double density = exp(-z * z / 2) * 0.39894228040143268;
        double step = (0.5 * erfc(z * 0.70710678118654752) - tail) / density;
        z += step;
        if (step < 1e-13)
            break;
    }
    return p > 0.5 ? z : -z;
}

void sl_tool_shuffle(uint64_t seed, uint64_t a, uint32_t b, int32_t *order, int32_t n)
{
    struct sl_random4 four = {{0}};
    for (int32_t i = 0; i < n; i++) {
        if ((i & 3) == 0)
            four = sl_tool_random(seed, a, b, (uint32_t)i >> 2);
        /* A 32-bit word times n: the unevenness is n in 2^32. */
        int32_t j = (int32_t)((uint64_t)four.word[i & 3] * (uint32_t)(i + 1) >> 32);
        order[i] = order[j];
        order[j] = i;
    }
}
