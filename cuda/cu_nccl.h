/* SPDX-License-Identifier: Apache-2.0
 * NCCL, opened at run time. */
#ifndef SLC_NCCL_H
#define SLC_NCCL_H

#include <stdbool.h>

#include "cu_nccl_types.h"

/* The entry points of libnccl.so.2, opened once for the process. False with the reason in `text`
 * where there is none, or it is older than 2.14. [any thread] */
bool slc_nccl(struct slc_nccl *nccl, char *text, size_t text_size);

/* The same of the library that `symbol` speaks for (sluice_comm.native_symbol). */
bool slc_nccl_of(struct slc_nccl *nccl, void *(*symbol)(void *user, const char *name), void *user,
                 char *text, size_t text_size);

/* What went wrong, in words; never NULL. */
const char *slc_nccl_error(const struct slc_nccl *nccl, slnc_comm comm, slnc_result result);

#endif
