/* SPDX-License-Identifier: Apache-2.0
 * The layers of a config, checked, and what they make of a context's layers and banks. */
#ifndef SL_BK_LAYERS_H
#define SL_BK_LAYERS_H

#include "bk_context.h"

/* Allocates and fills in context->layers and the shapes of context->banks. */
sluice_status sl_layers_start(sluice_context *context, const sluice_config *config,
                              const struct sl_text *text);

#endif
