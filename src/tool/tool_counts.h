/* SGLang's two JSON forms: expert counts and placements. */
#ifndef SL_TOOL_COUNTS_H
#define SL_TOOL_COUNTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tool_npy.h"

/* {"logical_count": [layers][E]} or [steps][layers][E]: tokens that each expert received. */
struct sl_counts {
    int32_t steps, layers, experts;
    int64_t *count; /* [steps][layers][experts] */
};

enum sl_counts_steps { SL_COUNTS_SUM, SL_COUNTS_KEEP };

/* {"physical_to_logical_map": [layers][P]}: the expert in each slot, or -1 for an empty slot. */
struct sl_placement {
    int32_t layers, slots, experts;
    int32_t *expert; /* [layers][slots] */
};

/* Reads counts: whole, not negative, every row as long as the first. With SL_COUNTS_SUM the steps
 * are added up and steps is 1. Other keys of the object are left alone. Returns 0, or -1 with a
 * line that names step, layer and expert. */
int sl_counts_parse(const uint8_t *bytes, size_t size, enum sl_counts_steps how,
                    struct sl_counts *counts, char *err, size_t n);
/* A file whose name ends in .npy holds ids. */
int sl_counts_load(const char *path, enum sl_counts_steps how, struct sl_counts *counts, char *err,
                   size_t n);
/* tool_ids.c: of recorded choices [layers, tokens, K], -1 for none. There are as many experts as
 * the greatest id says. */
int sl_counts_of_ids(const struct sl_npy *npy, struct sl_counts *counts, char *err, size_t n);
void sl_counts_free(struct sl_counts *counts);
const int64_t *sl_counts_row(const struct sl_counts *counts, int32_t step, int32_t layer);

/* Reads a placement and checks it: ids in [-1, experts), every row as long as the first, every
 * expert in at least one slot of every layer. experts 0: one more than the greatest id. Returns 0,
 * or -1 with a line that names layer and slot. */
int sl_placement_parse(const uint8_t *bytes, size_t size, int32_t experts,
                       struct sl_placement *placement, char *err, size_t n);
int sl_placement_load(const char *path, int32_t experts, struct sl_placement *placement, char *err,
                      size_t n);
void sl_placement_free(struct sl_placement *placement);

/* Write the same forms. steps 1 gives [layers][E]. path "-" is stdout. */
int sl_counts_save(const char *path, const struct sl_counts *counts, char *err, size_t n);
int sl_placement_save(const char *path, const struct sl_placement *placement, char *err, size_t n);

#endif
