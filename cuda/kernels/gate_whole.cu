/* SPDX-License-Identifier: Apache-2.0
 * topk and route for rules that slc_whole_soft or slc_whole_sigmoid holds of. */
#include "gate_whole.cuh"

SLC_GATE_KERNELS(soft, slc_soft<4>)
SLC_GATE_KERNELS(sigmoid, slc_gates<4>)
SLC_GATE_KERNELS(soft_256, slc_soft<8>)
SLC_GATE_KERNELS(sigmoid_256, slc_gates<8>)
