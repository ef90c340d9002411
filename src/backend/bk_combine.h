/* SPDX-License-Identifier: Apache-2.0
 * A combine, checked. */
#ifndef SL_BK_COMBINE_H
#define SL_BK_COMBINE_H

#include "bk_lane.h"

struct sl_combine {
    sluice_context *context;
    struct sl_exchange *exchange;
    const sluice_combine_args *args;
    struct sl_layer *layer;
    struct sl_lane *lane;
    struct sl_view rows, zero_weight, x, out;
    int32_t type; /* SL_F32 ... */
    int32_t own;  /* this rank among the living */
    bool weighs;  /* rows times their weights; else the input had them */
    float scale;
    size_t row_bytes;
};

/* Checks the arguments and fills in the rest of `call`, whose context and args are given. */
sluice_status sl_combine_check(struct sl_combine *call);

#endif
