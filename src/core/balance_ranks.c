/* SPDX-License-Identifier: Apache-2.0
 * Ranks and their nodes; ranks and their sources. */
#include <string.h>

#include "sl_balance.h"

void sl_balance_leaders(int32_t ranks, const int32_t *node, int32_t *leader)
{
    for (int32_t r = 0; r < ranks; r++) {
        leader[r] = r;
        /* neighbours mostly share a node; else look through the leaders so far */
        int32_t first = r > 0 && node && node[r] != node[r - 1] ? 0 : r - 1;
        for (int32_t q = first < 0 ? 0 : first; q < r; q++)
            if (!node || node[q] == node[r]) {
                leader[r] = leader[q];
                break;
            }
    }
}

void sl_balance_want(const struct sl_balance *balance, int32_t first, int32_t count,
                     struct sl_quotas *quotas)
{
    quotas->first = 0;
    quotas->count = 0;
    for (int32_t s = 0; s < balance->sources; s++) {
        quotas->first += balance->source[s] < first;
        quotas->count += balance->source[s] >= first && balance->source[s] < first + count;
    }
}

static void spread(const struct sl_balance *balance, int32_t first, const struct sl_quotas *quotas,
                   int64_t *rows, int64_t width)
{
    for (int32_t s = quotas->count - 1; s >= 0 && rows; s--) {
        int64_t to = balance->source[quotas->first + s] - first;
        if (to == s)
            continue;
        memcpy(rows + to * width, rows + s * width, (size_t)width * sizeof *rows);
        memset(rows + s * width, 0, (size_t)width * sizeof *rows);
    }
}

void sl_balance_spread(const struct sl_balance *balance, int32_t first,
                       const struct sl_quotas *quotas)
{
    int64_t physical = (int64_t)balance->slots * balance->ranks;
    spread(balance, first, quotas, quotas->routed, physical);
    spread(balance, first, quotas, quotas->shared, balance->ranks);
}
