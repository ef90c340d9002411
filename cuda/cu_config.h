/* SPDX-License-Identifier: Apache-2.0
 * Checks of a config that need no context: what is out of range, contradicts itself, or is not
 * served by this backend. */
#ifndef SLC_CONFIG_H
#define SLC_CONFIG_H

#include "cu_args.h"

/* Where errors of open go. */
struct slc_text {
    char *data;
    size_t size;
};

__attribute__((format(printf, 3, 4))) sluice_status
slc_text_fail(const struct slc_text *text, sluice_status status, const char *format, ...);

/* A struct of the first release, which is the present one. */
#define SLC_CHECK_STRUCT(text, name, args)                                                         \
    slc_check_struct(NULL, (text)->data, (text)->size, name, args, sizeof *(args), sizeof *(args))

/* Everything but the layers: is it possible? */
sluice_status slc_config_check(const struct slc_text *text, const sluice_config *config);

/* Does this version serve it? UNSUPPORTED by name where not. */
sluice_status slc_config_served(const struct slc_text *text, const sluice_config *config);

#endif
