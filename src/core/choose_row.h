/* SPDX-License-Identifier: Apache-2.0
 * The steps of the portable choice for one row. */
#ifndef SL_CHOOSE_ROW_H
#define SL_CHOOSE_ROW_H

#include "choose_tail.h"

/* A row on its way. Columns are E + Z. */
struct sl_row {
    float x[SL_MAX_COLUMNS]; /* the logit to be scored; -inf: never chosen */
    float s[SL_MAX_COLUMNS]; /* the score, where the ranking asks for it; before, exp(x - max)
                              * where it is summed */
    float v[SL_MAX_COLUMNS]; /* the ranking value */
    float joint[SL_MAX_SHARED];
    float max, sum; /* of the softmax */
};

/* Fills in x, joint, max and sum. */
void sl_row_read(struct sl_row *row, const struct sl_rule *rule, const struct sl_choose_io *io,
                 int64_t t, const float *bias);

/* The K best by rank: ids and their scores. */
void sl_row_rank(struct sl_row *row, const struct sl_rule *rule, const float *bias, int32_t *ids,
                 float *scores);

#endif
