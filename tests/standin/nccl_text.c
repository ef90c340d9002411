/* SPDX-License-Identifier: Apache-2.0 */
/* Types, operations and errors in words. */
#include <stdarg.h>
#include <stdio.h>

#include "nccl_comm.h"

static _Thread_local char last_error[512];

static const struct {
    const char *name;
    uint64_t bytes;
} types[ncclNumTypes] = {{"int8", 1},    {"uint8", 1},    {"int32", 4},   {"uint32", 4},
                         {"int64", 8},   {"uint64", 8},   {"float16", 2}, {"float32", 4},
                         {"float64", 8}, {"bfloat16", 2}, {"e4m3", 1},    {"e5m2", 1}};

static const char *const kinds[] = {"Send",          "Recv",      "AllReduce", "Reduce",
                                    "ReduceScatter", "Broadcast", "AllGather", "AlltoAll"};
static const char *const sums[] = {"sum", "prod", "max", "min", "avg"};

uint64_t type_bytes(ncclDataType_t type)
{
    return types[type].bytes;
}

void op_text(const struct op *op, char *text, size_t room)
{
    char more[64] = "";
    int at = 0;
    if (op->kind == OP_ALL_REDUCE || op->kind == OP_REDUCE || op->kind == OP_REDUCE_SCATTER)
        at = snprintf(more, sizeof more, ", %s", sums[op->op]);
    const char *word = op->kind == OP_SEND ? "to" : op->kind == OP_RECV ? "from" : "root";
    if (op->root >= 0)
        (void)snprintf(more + at, sizeof more - (size_t)at, ", %s %d", word, op->root);
    (void)snprintf(text, room, "%s(%llu %s%s)", kinds[op->kind], (unsigned long long)op->count,
                   types[op->type].name, more);
}

void launch_text(const struct launch *launch, char *text, size_t room)
{
    size_t at = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < launch->nops; i++) {
        char one[96];
        op_text(&launch->ops[i], one, sizeof one);
        int wrote = snprintf(text + at, room - at, "%s%s", i ? " " : "", one);
        if (wrote < 0 || (size_t)wrote + 20 >= room - at) {
            (void)snprintf(text + at, room - at, " and %d more", launch->nops - i);
            return;
        }
        at += (size_t)wrote;
    }
}

ncclResult_t nccl_error(ncclResult_t result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    return result;
}

const char *ncclGetLastError(ncclComm_t comm)
{
    (void)comm;
    return last_error;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    static const char *const texts[] = {
        "no error",
        "unhandled cuda error",
        "unhandled system error",
        "internal error",
        "invalid argument",
        "invalid usage",
        "remote process exited or there was a network error",
        "NCCL operation in progress",
    };
    return (unsigned)result < sizeof texts / sizeof *texts ? texts[result] : "unknown result code";
}
