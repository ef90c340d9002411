/* SPDX-License-Identifier: Apache-2.0
 * The state of dispatch and combine: what is sized at open, and one dispatch in flight a lane. */
#ifndef SL_BK_LANE_H
#define SL_BK_LANE_H

#include "../core/layout.h"
#include "../core/sl_hash.h"
#include "bk_exchange.h"

enum { SL_HEADER_MAGIC = 0x534C4331 }; /* "SLC1" */

/* In front of every exchange, compared by all ranks. */
struct sl_header {
    uint32_t magic;
    int32_t kind; /* SL_KIND_* */
    int32_t layer;
    int32_t lane;
    int64_t number; /* of the exchange on its channel */
    int64_t epoch;  /* of the bank's placement */
    uint64_t map;   /* its map's hash */
    uint64_t form;  /* bytes of rows, mode: whatever must be equal beside */
    /* Not compared: */
    int64_t tokens; /* greatest number to one peer (dispatch), rows of the call (combine) */
    int64_t detail; /* what a failure needs to say */
    int32_t state;  /* SL_SAID_* */
    int32_t reserved;
};
enum { SL_SAID_OK = 0, SL_SAID_SMALL = 1, SL_SAID_OVERFLOW = 2 };

enum { LANE_IDLE = 0, LANE_COUNTED = 1, LANE_SENT = 2 };

struct sl_lane {
    uint64_t call; /* number of its dispatch; 0: none yet */
    int32_t state;
    int32_t layer;
    int32_t fixed;
    int32_t columns;
    int64_t tokens;
    int64_t most;   /* greatest number of tokens from one rank to another */
    int32_t *ids;   /* [T][C] slot ids, -1: none */
    float *weights; /* [T][C] */
    struct sl_send send;
    struct sl_rows rows;
    int32_t *from_start; /* [peers + 1] tokens by source */
    int32_t *meta; /* [tokens][1 + 2C]: home's token, slot then row of each column, weight bits */
};

/* Host memory, but for staging, meta_out, sum and what a lane points at: that is the backend's,
 * where it works. */
enum { SL_MOST_LANES = 8 };
struct sl_exchange {
    sluice_transport transport; /* defaults filled in */
    int64_t tokens_max;         /* greatest T of either mode */
    int32_t columns_max;        /* K + F */
    int32_t local_max;          /* L */
    int32_t carried_max;        /* what balance adds to counts */
    size_t staging_bytes;       /* of each of the two below */
    char *staging_out, *staging_in;
    int32_t *meta_out;               /* what is sent of meta */
    int32_t *scratch;                /* [2 * ranks] */
    int32_t *peer_of;                /* [ranks] number among the living, -1: dead */
    int32_t *counts_out, *counts_in; /* [ranks][L + 1 + carried_max] */
    struct sl_header *headers;       /* [ranks] */
    const void **send;
    void **recv;
    size_t *send_bytes, *recv_bytes; /* [ranks] of an all-to-all */
    int64_t *cursor;                 /* [ranks] */
    int64_t *back;                   /* [ranks] */
    const char **in;                 /* [ranks] */
    float *sum;                      /* one row */
    int64_t number[4];               /* of each channel's next exchange */
    sluice_status broken[4];
    uint64_t calls;
    struct sl_lane lanes[SL_MOST_LANES];
    size_t state_bytes, lane_bytes, common_bytes;
    char *state;
    char *common; /* staging, meta_out and sum */
    char *lane_memory[SL_MOST_LANES];
};

/* At open: makes what config->transport and uses ask for on the host (context->exchange), and adds
 * it, rows and bytes on the wire to needs. */
sluice_status sl_exchange_open(sluice_context *context, const sluice_config *config,
                               const struct sl_text *text, sluice_needs *needs);
void sl_exchange_close(sluice_context *context);

/* Fills in peer_of from who lives. */
void sl_exchange_number(const sluice_context *context);

/* Begins an exchange on `channel`: gathers the headers of all living ranks into headers and
 * compares them. `mine` has kind, layer, lane, form and what is not compared. */
sluice_status sl_exchange_meet(sluice_context *context, int32_t channel, struct sl_header *mine);

/* MISMATCH, with its text and fault, where one of exchange->headers is not `mine`: for a backend
 * that has gathered them by itself. */
sluice_status sl_exchange_compare(sluice_context *context, const struct sl_header *mine);

/* One all-to-all of exchange->send ... recv_bytes, of the same exchange. */
sluice_status sl_exchange_trade(sluice_context *context, int32_t channel,
                                const struct sl_header *mine);

const char *sl_kind_name(int32_t kind);

#endif
