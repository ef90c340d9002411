/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLC_WEIGHTS_H
#define SLC_WEIGHTS_H

#include "../plugin.h"

sluice_status slc_get_moe_weights(sluice_context *context, const sluice_weights_args *args);

#endif
