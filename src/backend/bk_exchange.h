/* SPDX-License-Identifier: Apache-2.0
 * What collectives have in common. */
#ifndef SL_BK_EXCHANGE_H
#define SL_BK_EXCHANGE_H

#include "bk_args.h"

/* Kinds of exchange, in every header. */
enum {
    SL_KIND_OPEN = 1,
    SL_KIND_REMAP,
    SL_KIND_COUNT,
    SL_KIND_SEND,
    SL_KIND_FIXED,
    SL_KIND_COMBINE
};

/* The channel of dispatch and combine, and that of balance. */
enum {
    SL_CHANNEL_MOVE = 0,
    SL_CHANNEL_BALANCE = 1,
    SL_CHANNEL_MIGRATE = 2,
    SL_CHANNEL_OPEN = 3,
    SL_CHANNEL_LOAD = 4, /* messages only: what fails there leaves the others alone */
    SL_CHANNEL_ASK = 5   /* who is missing from a sum of load */
};

/* Every rank compares its config with the others'; an error has set `text`. */
sluice_status sl_exchange_agree(sluice_context *context, const sluice_config *config, char *text,
                                size_t text_size);

/* No exchange until sl_exchange_reset: a newcomer does not know the others yet. */
void sl_exchange_hold(sluice_context *context);

/* After ranks were set anew: numbers of calls start again, broken state is over. */
void sl_exchange_reset(sluice_context *context);

/* One all-gather of `bytes` from every living rank behind a header (kind, layer, epoch, number,
 * bytes, form), which is compared; out is [living][bytes] in ascending rank. A rank that failed its
 * argument checks does not come, so peers get PEER_LOST. PEER_LOST, MISMATCH and CANCELLED end all
 * exchange until sl_exchange_reset. Allocates nothing. */
sluice_status sl_exchange_gather(sluice_context *context, int32_t channel, int32_t kind,
                                 int32_t layer, uint64_t form, const void *mine, void *all,
                                 size_t bytes);

#endif
