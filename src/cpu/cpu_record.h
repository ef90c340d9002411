/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SL_CPU_RECORD_H
#define SL_CPU_RECORD_H

#include "../../plugin.h"

sluice_status cpu_record(sluice_context *context, const sluice_record_args *args);

#endif
