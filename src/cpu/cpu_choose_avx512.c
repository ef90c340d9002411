/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_choose.h"

#if defined(__x86_64__)

#include "cpu_choose_vec_avx512.h"

#include "cpu_choose_block.h"
#include "cpu_choose_narrow.h"

SL_SIMD_TARGET void sl_choose_avx512(const struct sl_rule *rule, const struct sl_choose_io *io,
                                     int64_t first, int32_t count, const struct sl_choices *out)
{
    sl_choose_block(rule, io, first, count, out);
}

SL_SIMD_TARGET void sl_choose_narrow_avx512(const struct sl_rule *rule,
                                            const struct sl_choose_io *io, int64_t first,
                                            int32_t count, const struct sl_choices *out)
{
    if (io->forced_ids.data)
        sl_choose_avx512(rule, io, first, count, out);
    else
        sl_narrow_block(rule, io, first, count, out);
}

#endif
