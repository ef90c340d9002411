/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_sum.h"

void sl_sum(const struct sl_sum_job *job)
{
    sl_sum_portable(job);
}
