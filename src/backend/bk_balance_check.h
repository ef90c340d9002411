/* SPDX-License-Identifier: Apache-2.0
 * Checks of sluice.balance/1 that need no context. */
#ifndef SL_BK_BALANCE_CHECK_H
#define SL_BK_BALANCE_CHECK_H

#include "../../abi/ext/balance.h"
#include "bk_config.h"

enum { SL_BALANCE_STEPS = 8, SL_BALANCE_MOST_STEPS = 64 };

/* Its structs and ranges; `name` begins the texts. */
sluice_status sl_balance_check_config(const struct sl_text *text, const char *name,
                                      const sluice_balance_config *config);

/* Its struct and its arrays against `sources` of [P] and [ranks]; fills in the default. */
sluice_status sl_balance_check_answer(const struct sl_text *text,
                                      const sluice_balance_answer *answer, int32_t ranks,
                                      int32_t physical, int32_t *sources);

/* Zeros in every array that is given. */
void sl_balance_clear_answer(sluice_balance_answer *answer, int32_t ranks, int32_t physical,
                             int32_t sources);

/* sluice_balance_api.solve */
sluice_status sl_balance_plain(const sluice_balance_problem *problem, sluice_balance_answer *answer,
                               char *text, size_t text_size);

#endif
