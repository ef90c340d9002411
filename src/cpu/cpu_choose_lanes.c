/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_choose_work.h"

/* Lane i of set m, in the byte behind those of the lanes below it. */
#define SL_HAS(m, i) ((m) >> (i)&1U)
#define SL_BELOW(m, i) ((m) & ((1U << (i)) - 1U))
#define SL_COUNT(m)                                                                                \
    (SL_HAS(m, 0) + SL_HAS(m, 1) + SL_HAS(m, 2) + SL_HAS(m, 3) + SL_HAS(m, 4) + SL_HAS(m, 5) +     \
     SL_HAS(m, 6))
#define SL_PUT(m, i) ((uint64_t)(SL_HAS(m, i) ? (i) : 0U) << 8 * SL_COUNT(SL_BELOW(m, i)))
#define SL_SET(m)                                                                                  \
    (SL_PUT(m, 1U) | SL_PUT(m, 2U) | SL_PUT(m, 3U) | SL_PUT(m, 4U) | SL_PUT(m, 5U) |               \
     SL_PUT(m, 6U) | SL_PUT(m, 7U))
#define SL_SETS_4(m) SL_SET(m), SL_SET((m) + 1U), SL_SET((m) + 2U), SL_SET((m) + 3U)
#define SL_SETS_16(m) SL_SETS_4(m), SL_SETS_4((m) + 4U), SL_SETS_4((m) + 8U), SL_SETS_4((m) + 12U)
#define SL_SETS_64(m)                                                                              \
    SL_SETS_16(m), SL_SETS_16((m) + 16U), SL_SETS_16((m) + 32U), SL_SETS_16((m) + 48U)

const uint64_t sl_packed_lanes[256] = {SL_SETS_64(0U), SL_SETS_64(64U), SL_SETS_64(128U),
                                       SL_SETS_64(192U)};
