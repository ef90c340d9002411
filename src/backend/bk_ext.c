/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_ext.h"

#include <string.h>

#include "../core/mutant.h"

const void *sl_extension_of(const char *id, const struct sl_extension *served, size_t count)
{
    for (size_t i = 0; id && i < count; i++)
        if (SL_MUTANT(revision_ignored) ? strncmp(id, served[i].id, strlen(served[i].id)) == 0
                                        : strcmp(id, served[i].id) == 0)
            return served[i].table;
    return NULL;
}
