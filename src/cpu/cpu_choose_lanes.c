/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_choose_work.h"

/* Lane i of set m, in the byte behind those of the lanes below it. */
#define SL_PUT(m, i) ((uint64_t)((m) >> (i)&1U ? (i) : 0U) << 8 * SL_COUNT((m) & ((1U << (i)) - 1U)))
#define SL_COUNT(m)                                                                                \
    (((m)&1U) + ((m) >> 1 & 1U) + ((m) >> 2 & 1U) + ((m) >> 3 & 1U) + ((m) >> 4 & 1U) +            \
     ((m) >> 5 & 1U) + ((m) >> 6 & 1U))
#define SL_SET(m)                                                                                  \
    (SL_PUT(m, 1U) | SL_PUT(m, 2U) | SL_PUT(m, 3U) | SL_PUT(m, 4U) | SL_PUT(m, 5U) |               \
     SL_PUT(m, 6U) | SL_PUT(m, 7U))
#define SL_SETS_4(m) SL_SET(m), SL_SET(m + 1U), SL_SET(m + 2U), SL_SET(m + 3U)
#define SL_SETS_16(m) SL_SETS_4(m), SL_SETS_4(m + 4U), SL_SETS_4(m + 8U), SL_SETS_4(m + 12U)
#define SL_SETS_64(m)                                                                              \
    SL_SETS_16(m), SL_SETS_16(m + 16U), SL_SETS_16(m + 32U), SL_SETS_16(m + 48U)

const uint64_t sl_packed_lanes[256] = {SL_SETS_64(0U), SL_SETS_64(64U), SL_SETS_64(128U),
                                       SL_SETS_64(192U)};
