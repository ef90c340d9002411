#include "ct.h"

#include "choose_golden.h"

#include <string.h>

/* What a peer does that the rule does not. */
static const char same[] = "as ours";
static const char second[] = "the second best of a group is strictly below the best";
static const char unstable[] = "of equal experts at the edge any is taken";
static const char nan_ids[] = "a row of NaN gives ids 0 ... K-1 with weights of NaN";
static const char nan_first[] = "NaN ranks first and makes every weight NaN";
static const char nan_softmax[] = "one NaN makes the softmax NaN";
static const char inf_ids[] = "a row of -inf gives ids by the bias, with weights of 0";
static const char inf_softmax[] = "rows of -inf and rows with +inf make the softmax NaN";
static const char inf_renorm[] = "inf / inf is NaN; a row of -inf gives ids by the bias";
static const char rounded[] = "the scores are rounded to bf16";

/* What SGLang's two routing paths do with ties, NaN and infinities, where Sluice does otherwise:
 * rows that differ, of the case's rows. The reference decides what is right. */
static const struct {
    const char *name;
    int32_t rows, router, torch;
    const char *router_reason, *torch_reason;
} cases[] = {
    {"differs/ties-deepseek-v3", 8, 4, 5, second, unstable},
    {"differs/ties-kimi-k2", 8, 0, 5, same, unstable},
    {"differs/ties-qwen3", 8, 0, 4, same, unstable},
    {"differs/ties-deepseek-v4", 8, 0, 3, same, unstable},
    {"differs/nan-deepseek-v3", 8, 1, 8, nan_ids, nan_first},
    {"differs/nan-kimi-k2", 8, 1, 8, nan_ids, nan_first},
    {"differs/nan-qwen3", 8, 8, 8, nan_softmax, nan_softmax},
    {"differs/nan-deepseek-v4", 8, 1, 8, nan_ids, nan_first},
    {"differs/inf-deepseek-v3", 8, 1, 1, inf_ids, inf_ids},
    {"differs/inf-kimi-k2", 8, 1, 1, inf_ids, inf_ids},
    {"differs/inf-qwen3", 8, 4, 4, inf_softmax, inf_softmax},
    {"differs/inf-deepseek-v4", 8, 4, 4, inf_renorm, inf_renorm},
    {"differs/group-tie-deepseek-v3", 8, 8, 0, second, same},
    {"differs/bf16-scores-deepseek-v3", 37, 0, 37, same, rounded},
};

static int32_t rows_off(const struct choose_call *call, const char *name, const char *ids,
                        const char *weights, bool unordered)
{
    struct golden_result result;
    if (!golden_result(&result, name, ids, weights))
        return -1;
    const struct golden_match match = {.unordered = unordered, .tolerance = 3e-6};
    return golden_compare(call, &result, &match).rows;
}

CT(choose_golden, differs_are_known,
   "ties, NaN and infinities: ours by the rule, each peer's by count")
{
    if (!ct_golden_cases())
        ct_skip("the golden vectors are not there");
    int seen = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct choose_call call;
        if (!ct_golden_case(cases[i].name))
            continue;
        seen++;
        ct_true(golden_call(&call, cases[i].name));
        ct_true(choose_portable(&call));
        ct_note("%s, by the rule", cases[i].name);
        ct_expect_eq_i64(call.rows, cases[i].rows);
        ct_expect_true(choose_agrees(&call, 3e-6));
        ct_note("%s, router: %s", cases[i].name, cases[i].router_reason);
        ct_expect_eq_i64(
            rows_off(&call, cases[i].name, "router_ids.npy", "router_weights.npy", false),
            cases[i].router);
        ct_note("%s, torch: %s", cases[i].name, cases[i].torch_reason);
        ct_expect_eq_i64(rows_off(&call, cases[i].name, "torch_ids.npy", "torch_weights.npy", true),
                         cases[i].torch);
    }
    ct_eq_i64(seen, ct_golden_count(14, 3));
}
