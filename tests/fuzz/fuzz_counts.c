/* Any bytes are either refused with a message or counts or a placement that hold what they say. */
#include "tool/tool_counts.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_counts(const uint8_t *data, size_t size, enum sl_counts_steps how)
{
    struct sl_counts c;
    char err[200] = "";
    if (sl_counts_parse(data, size, how, &c, err, sizeof err) != 0) {
        if (strlen(err) == 0)
            abort();
        return;
    }
    for (int32_t s = 0; s < c.steps; s++)
        for (int32_t l = 0; l < c.layers; l++)
            for (int32_t e = 0; e < c.experts; e++)
                if (sl_counts_row(&c, s, l)[e] < 0)
                    abort();
    sl_counts_free(&c);
}

static void check_placement(const uint8_t *data, size_t size, int32_t experts)
{
    struct sl_placement p;
    char err[200] = "";
    if (sl_placement_parse(data, size, experts, &p, err, sizeof err) != 0) {
        if (strlen(err) == 0)
            abort();
        return;
    }
    if (experts > 0 && p.experts != experts)
        abort();
    for (int32_t i = 0; i < p.layers * p.slots; i++)
        if (p.expert[i] < -1 || p.expert[i] >= p.experts)
            abort();
    sl_placement_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_counts(data, size, SL_COUNTS_SUM);
    check_counts(data, size, SL_COUNTS_KEEP);
    check_placement(data, size, 0);
    check_placement(data, size, 3);
    return 0;
}
