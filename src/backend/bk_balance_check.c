/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_balance_check.h"

#include <stdio.h>
#include <string.h>

static const int64_t MOST_EXPERT_PS = 1000000000000; /* a second */
static const int64_t MOST_ROW_PS = 1000000000;       /* a millisecond */

static sluice_status check_range(const struct sl_text *text, const char *name, const char *field,
                                 int64_t value, int64_t least, int64_t most)
{
    if (value < least || value > most)
        return sl_text_fail(text, SLUICE_INVALID, "%s.%s is %lld: must be %lld to %lld", name,
                            field, (long long)value, (long long)least, (long long)most);
    return SLUICE_OK;
}

static sluice_status check_costs(const struct sl_text *text, const char *name,
                                 const sluice_balance_config *config)
{
    bool cost = config->objective == SLUICE_BALANCE_COST;
    char costs[48];
    (void)snprintf(costs, sizeof costs, "%s.costs", name);
    if (!cost && config->costs)
        return sl_text_fail(text, SLUICE_INVALID, "%s is given: the objective is not COST", costs);
    if (!cost)
        return SLUICE_OK;
    const sluice_costs *given = config->costs;
    sluice_status status;
    if ((status = SL_CHECK_STRUCT(text, costs, given)) ||
        (status = check_range(text, costs, "expert_ps", given->expert_ps, 0, MOST_EXPERT_PS)) ||
        (status = check_range(text, costs, "row_ps", given->row_ps, 0, MOST_ROW_PS)) ||
        (status = check_range(text, costs, "near_ps", given->near_ps, 0, MOST_ROW_PS)) ||
        (status = check_range(text, costs, "far_ps", given->far_ps, 0, MOST_ROW_PS)))
        return status;
    return check_range(text, costs, "add", given->add, 0, 1);
}

sluice_status sl_balance_check_config(const struct sl_text *text, const char *name,
                                      const sluice_balance_config *config)
{
    sluice_status status;
    if ((status = SL_CHECK_STRUCT(text, name, config)) ||
        (status = check_range(text, name, "objective", config->objective, 0, 2)) ||
        (status = check_range(text, name, "mode", config->mode, 0, 2)) ||
        (status = check_range(text, name, "visited_only", config->visited_only, 0, 1)) ||
        (status = check_range(text, name, "steps", config->steps, 0, SL_BALANCE_MOST_STEPS)))
        return status;
    return check_costs(text, name, config);
}

static sluice_status check_room(const struct sl_text *text, const char *name, bool given,
                                int64_t room, int64_t needed)
{
    if (given && room < needed)
        return sl_text_fail(text, SLUICE_OVERFLOW, "answer.%s_count is %lld: must be at least %lld",
                            name, (long long)room, (long long)needed);
    return SLUICE_OK;
}

sluice_status sl_balance_check_answer(const struct sl_text *text,
                                      const sluice_balance_answer *answer, int32_t ranks,
                                      int32_t physical, int32_t *sources)
{
    sluice_status status = SL_CHECK_STRUCT(text, "answer", answer);
    if (status || (status = check_range(text, "answer", "source", answer->source, 0, ranks - 1)))
        return status;
    int32_t most = ranks - answer->source;
    if ((status = check_range(text, "answer", "sources", answer->sources, 0, most)))
        return status;
    *sources = answer->sources ? answer->sources : 1;
    int64_t routed = (int64_t)*sources * physical, shared = (int64_t)*sources * ranks;
    if ((status =
             check_room(text, "routed", answer->routed != NULL, answer->routed_count, routed)) ||
        (status = check_room(text, "shared", answer->shared != NULL, answer->shared_count, shared)))
        return status;
    return check_room(text, "cut", answer->cut != NULL, answer->cut_count, ranks);
}

void sl_balance_clear_answer(sluice_balance_answer *answer, int32_t ranks, int32_t physical,
                             int32_t sources)
{
    size_t rows = (size_t)sources * sizeof(int64_t);
    if (answer->routed)
        memset(answer->routed, 0, rows * (size_t)physical);
    if (answer->shared)
        memset(answer->shared, 0, rows * (size_t)ranks);
    if (answer->cut)
        memset(answer->cut, 0, (size_t)ranks);
}
