/* SPDX-License-Identifier: Apache-2.0 */
#include "../src/backend/bk_config.h"
#include "cu_open.h"

sluice_status slc_serves(const struct sl_text *text, const sluice_config *config)
{
    static const struct {
        int32_t use;
        const char *name;
    } USES[] = {{SLUICE_USE_MIGRATE, "MIGRATE"}};
    for (size_t i = 0; i < sizeof USES / sizeof *USES; i++)
        if (config->uses & USES[i].use)
            return sl_text_fail(text, SLUICE_UNSUPPORTED,
                                "config.uses has %s: the CUDA backend of this version does not "
                                "do that",
                                USES[i].name);
    return SLUICE_OK;
}
