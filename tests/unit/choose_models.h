/* A descriptor for every router family of the specification's table "Models". Where the table says
 * "config" or gives a range, one value of it stands here. */
#ifndef CHOOSE_MODELS_H
#define CHOOSE_MODELS_H

#include "plugin.h"

#include <stdbool.h>

struct choose_model {
    const char *name; /* as in the table's first column */
    sluice_router router;
    bool expert_scale; /* calls give these */
    bool forced;
    bool row_valid;
    bool wide; /* logits of deviation 14 */
};

extern const struct choose_model choose_models[];
extern const int32_t choose_model_count;

#endif
