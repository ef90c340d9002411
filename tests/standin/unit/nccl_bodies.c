/* SPDX-License-Identifier: Apache-2.0 */
#include "nccl_team.h"

#include <stddef.h>

#define ENTRY(name_, bare_) {#name_, body_##name_, bare_},
const struct team_entry team_bodies[] = {TEAM_BODIES(ENTRY){NULL, NULL, false}};
#undef ENTRY
