/* SPDX-License-Identifier: Apache-2.0
 * topk and route for rules that slc_small_soft or slc_small_sigmoid holds of. */
#include "gate_small.cuh"

SLC_GATE_KERNELS(soft, slc_soft)
SLC_GATE_KERNELS(sigmoid, slc_gates)
