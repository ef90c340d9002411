/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SL_CPU_OPEN_H
#define SL_CPU_OPEN_H

#include "../../plugin.h"

sluice_status cpu_open(const sluice_config *config, sluice_context **out, char *text, size_t size);

#endif
