/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SL_CPU_WEIGHTS_H
#define SL_CPU_WEIGHTS_H

#include "../../plugin.h"

sluice_status cpu_get_moe_weights(sluice_context *context, const sluice_weights_args *args);

#endif
