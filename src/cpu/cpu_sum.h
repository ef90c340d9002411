/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SL_CPU_SUM_H
#define SL_CPU_SUM_H

#include "../core/sum.h"

/* sl_sum_portable's result by the best path of this machine. */
void sl_sum(const struct sl_sum_job *job);

#endif
