/* SPDX-License-Identifier: Apache-2.0
 * Checks of a config that need no context: what is out of range or contradicts itself. */
#ifndef SL_BK_CONFIG_H
#define SL_BK_CONFIG_H

#include "bk_args.h"

__attribute__((format(printf, 3, 4))) sluice_status
sl_text_fail(const struct sl_text *text, sluice_status status, const char *format, ...);

/* A struct of the first release, which is the present one. */
#define SL_CHECK_STRUCT(text, name, args)                                                          \
    sl_check_struct(NULL, (text)->data, (text)->size, name, args, sizeof *(args), sizeof *(args))

/* Everything but the layers, for a backend of that device. */
sluice_status sl_config_check(const struct sl_text *text, const sluice_config *config,
                              int32_t device);

/* Does it use an operation that talks to other ranks? */
bool sl_config_exchanges(const sluice_config *config);

/* Has comm the messages that the uses need? */
bool sl_config_messages(int32_t uses, const sluice_comm *comm);

#endif
