/* SPDX-License-Identifier: Apache-2.0
 * A router descriptor with every default filled in and every limit checked. */
#ifndef SL_RULE_H
#define SL_RULE_H

#include "../../plugin.h"

enum { SL_MAX_COLUMNS = 4096, SL_MAX_K = 64, SL_MAX_GROUPS = 64, SL_MAX_SHARED = 8 };
enum { SL_MAX_RANKS = 1024, SL_MAX_PHYSICAL = 8192 };

struct sl_rule {
    int32_t experts;      /* E */
    int32_t zero_experts; /* Z */
    int32_t columns;      /* E + Z */
    int32_t top_k;        /* K */
    int32_t zero_kind;
    float logit_scale;
    float logit_cap; /* 0: off */
    int32_t score;
    int32_t bias_use;
    int32_t bias_rows;
    int32_t groups; /* 1: no grouping */
    int32_t keep_groups;
    int32_t group_size; /* E / groups */
    int32_t group_value;
    int32_t group_mode;
    int32_t renorm; /* also 1 with SLUICE_SHARED_JOINT */
    float renorm_eps;
    float renorm_floor;
    float scale;        /* the routed scaling factor */
    float weight_scale; /* what the weights get here: scale, or 1 with SCALE_BY_ENGINE */
    float
        shared_divisor; /* what remap divides shared weights by: scale with SCALE_BY_ENGINE, or 1 */
    int32_t scale_by;
    int32_t shared; /* F */
    int32_t shared_weight;
    float shared_scale;
    int32_t weight_on;
    /* Softmax whose scores only the renormalised weights see: its sum over all columns cancels, is
     * not computed, and s is exp(x - max). */
    int32_t sum_cancels;
};

/* Fills in `rule`; INVALID and a text that names the field where the descriptor is refused. */
sluice_status sl_rule_make(struct sl_rule *rule, const sluice_router *router, char *text,
                           size_t text_size);

#endif
