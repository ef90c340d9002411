/* SPDX-License-Identifier: Apache-2.0
 * topk and route for rules that slc_limited holds of. */
#include "gate_limit.cuh"

SLC_GATE_KERNELS(limit, slc_limit)
