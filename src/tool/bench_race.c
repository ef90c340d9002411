#include <stdlib.h>
#include <time.h>

#include "bench.h"

int64_t sl_bench_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Warms up, and finds how many calls fill a turn. */
static int calibrate(struct sl_bench_item *item, double turn_ns)
{
    if (item->run(item->user, 1))
        return -1;
    item->times = 1;
    for (;;) {
        int64_t begin = sl_bench_now();
        if (item->run(item->user, item->times))
            return -1;
        double ns = (double)(sl_bench_now() - begin);
        if (ns >= turn_ns / 4) {
            double times = (double)item->times * turn_ns / ns;
            item->times = times < 1 ? 1 : (int64_t)times;
            return 0;
        }
        item->times *= 2;
    }
}

int sl_bench_race(struct sl_bench_item *items, int32_t count, int32_t rounds, double turn_ns)
{
    double *ns = calloc((size_t)count * (size_t)rounds, sizeof *ns);
    int bad = ns ? 0 : -1;
    for (int32_t i = 0; i < count && !bad; i++)
        bad = calibrate(&items[i], turn_ns);
    for (int32_t round = 0; round < rounds && !bad; round++)
        for (int32_t i = 0; i < count && !bad; i++) {
            int64_t begin = sl_bench_now();
            bad = items[i].run(items[i].user, items[i].times);
            ns[(ptrdiff_t)i * rounds + round] =
                (double)(sl_bench_now() - begin) / (double)items[i].times;
        }
    for (int32_t i = 0; i < count && !bad; i++) {
        double *mine = ns + (ptrdiff_t)i * rounds;
        qsort(mine, (size_t)rounds, sizeof *mine, by_value);
        items[i].fastest = mine[0];
        items[i].median = mine[rounds / 2];
    }
    free(ns);
    return bad;
}
