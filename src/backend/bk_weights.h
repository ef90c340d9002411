/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SL_BK_WEIGHTS_H
#define SL_BK_WEIGHTS_H

#include "../../plugin.h"

sluice_status sl_get_moe_weights(sluice_context *context, const sluice_weights_args *args);

#endif
