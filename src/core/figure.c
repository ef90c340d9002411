/* SPDX-License-Identifier: Apache-2.0 */
#include "figure.h"

double sl_balance_of(const int64_t *load, const uint8_t *alive, int32_t ranks)
{
    int64_t sum = 0, greatest = 0, living = 0;
    for (int32_t r = 0; r < ranks; r++) {
        if (!alive[r])
            continue;
        living++;
        sum += load[r];
        if (load[r] > greatest)
            greatest = load[r];
    }
    return greatest ? (double)sum / ((double)living * (double)greatest) : 0.0;
}

static double sum_of(const int64_t *counts, int32_t count)
{
    int64_t sum = 0;
    for (int32_t e = 0; e < count; e++)
        sum += counts[e];
    return (double)sum;
}

int32_t sl_drift_ppm(const int64_t *a, const int64_t *b, int32_t count)
{
    double whole_a = sum_of(a, count), whole_b = sum_of(b, count), distance = 0.0;
    if (whole_a == 0.0 || whole_b == 0.0)
        return -1;
    for (int32_t e = 0; e < count; e++) {
        double apart = (double)a[e] / whole_a - (double)b[e] / whole_b;
        distance += apart < 0.0 ? -apart : apart;
    }
    return (int32_t)(distance * 500000.0 + 0.5);
}
