/* How far a replay is. */
#include "replay.h"
#include "tool_progress.h"

enum { OPENING = SL_FILL, A_STEP = SL_CHECK + 1 - SL_FILL, PARTS = 1000 };

void sl_replay_begin(struct sl_replay_case *c, struct sl_progress *progress)
{
    int64_t phases = OPENING + A_STEP * (int64_t)c->steps;
    c->progress = progress;
    sl_progress_begin(progress, stderr, "replay", phases * c->layers * PARTS);
}

void sl_replay_advance(const struct sl_replay_case *c, enum sl_replay_phase phase, int32_t step,
                       int32_t layer, int64_t done, int64_t of)
{
    if (!c->progress->out)
        return;
    int64_t at = (int64_t)phase + (phase < SL_FILL ? 0 : A_STEP * (int64_t)step);
    sl_progress_step(c->progress, (at * c->layers + layer) * PARTS + done * PARTS / of,
                     sl_progress_now());
}
