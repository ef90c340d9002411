/* SPDX-License-Identifier: Apache-2.0 */
#include "flow.h"

#include <stdbool.h>
#include <string.h>

#include "mutant.h"

/* The graph of experts with several ranks ("shared out"), numbered anew; an arc is one of their
 * ranks. Moving load from rank r to rank q over an expert takes it from one arc and gives it to
 * another. */
struct flow {
    int32_t experts, arcs, ranks;
    int32_t *first;        /* [experts + 1] arcs of each expert */
    int32_t *rank_of;      /* [arcs] */
    int32_t *expert_of;    /* [arcs] */
    int32_t *copy_of;      /* [arcs] the caller's copy */
    int32_t *rank_first;   /* [ranks + 1] into rank_arc */
    int32_t *rank_arc;     /* [arcs] ascending for each rank */
    int32_t *rank_level;   /* [ranks] steps from a rank above z; -1: out of reach */
    int32_t *expert_level; /* [experts] that of the rank it was reached from */
    int32_t *rank_next;    /* [ranks] into rank_arc: what is left to try */
    int32_t *expert_next;  /* [experts] arcs left to try */
    int32_t *queue;        /* [ranks] */
    int32_t *from, *to;    /* [ranks] the arcs of a path, taken from and given to */
    int64_t *units;        /* [arcs] load on each arc */
    int64_t *load;         /* [ranks] */
    int64_t z;
};

size_t sl_flow_bytes(int32_t experts, int32_t ranks, int32_t copies)
{
    size_t e = (size_t)experts, w = (size_t)ranks, c = (size_t)copies;
    return (c + w) * sizeof(int64_t) + (4 * c + 3 * e + 1 + 6 * w + 1) * sizeof(int32_t);
}

static int32_t *take(int32_t **at, int32_t count)
{
    int32_t *part = *at;
    *at += count;
    return part;
}

static void bind(struct flow *flow, const struct sl_flow_problem *problem, void *scratch)
{
    int32_t experts = problem->experts, ranks = problem->ranks, copies = problem->start[experts];
    flow->ranks = ranks;
    flow->units = scratch;
    flow->load = flow->units + copies;
    int32_t *at = (int32_t *)(flow->load + ranks);
    flow->first = take(&at, experts + 1);
    flow->expert_level = take(&at, experts);
    flow->expert_next = take(&at, experts);
    flow->rank_of = take(&at, copies);
    flow->expert_of = take(&at, copies);
    flow->copy_of = take(&at, copies);
    flow->rank_arc = take(&at, copies);
    flow->rank_first = take(&at, ranks + 1);
    flow->rank_level = take(&at, ranks);
    flow->rank_next = take(&at, ranks);
    flow->queue = take(&at, ranks);
    flow->from = take(&at, ranks);
    flow->to = take(&at, ranks);
}

/* Pours the units of an expert's arcs, which are in no rank's load now: ranks below the level come
 * up to it, and the first of them serve one unit more of what is left. */
static void pour(struct flow *flow, int32_t expert)
{
    int32_t first = flow->first[expert], end = flow->first[expert + 1];
    int64_t limit = INT64_MAX, level = 0, left = 0, units = 0;
    for (int32_t a = first; a < end; a++)
        units += flow->units[a];
    for (bool again = true; again; limit = level) {
        int64_t sum = units;
        int32_t under = 0;
        for (int32_t a = first; a < end; a++) {
            int64_t load = flow->load[flow->rank_of[a]];
            sum += load <= limit ? load : 0;
            under += load <= limit;
        }
        level = sum / under; /* NOLINT(clang-analyzer-core.DivideZero): it has ranks */
        left = sum % under;
        again = false;
        for (int32_t a = first; a < end; a++) {
            int64_t load = flow->load[flow->rank_of[a]];
            again |= load <= limit && load > level;
        }
    }
    for (int32_t a = first; a < end; a++) {
        int64_t *load = &flow->load[flow->rank_of[a]], more = 0;
        if (*load <= level) {
            more = level - *load + (left > 0);
            left--;
        }
        flow->units[a] = more;
        *load += more;
    }
}

static void lift(struct flow *flow, int32_t expert)
{
    for (int32_t a = flow->first[expert]; a < flow->first[expert + 1]; a++)
        flow->load[flow->rank_of[a]] -= flow->units[a];
}

/* Gives each expert's copies their arcs, or its load to the base; `sum` of all loads. */
static void fold(struct flow *flow, const struct sl_flow_problem *problem, int64_t *sum)
{
    const int32_t *start = problem->start, *holder = problem->holder;
    int32_t experts = 0, arcs = 0;
    for (int32_t r = 0; r < flow->ranks; r++) {
        flow->load[r] = problem->base ? problem->base[r] : 0;
        *sum += flow->load[r];
    }
    for (int32_t e = 0; e < problem->experts; e++) {
        int64_t load = problem->load[e];
        int32_t begin = start[e], end = start[e + 1];
        *sum += load;
        if (load == 0)
            continue;
        if (holder[begin] == holder[end - 1]) {
            flow->load[holder[begin]] += load;
            continue;
        }
        flow->first[experts] = arcs;
        for (int32_t c = begin; c < end; c++) {
            if (c > begin && holder[c] == holder[c - 1])
                continue;
            flow->rank_of[arcs] = holder[c];
            flow->expert_of[arcs] = experts;
            flow->copy_of[arcs] = c;
            flow->units[arcs++] = c == begin ? load : 0;
        }
        experts++;
    }
    flow->first[experts] = arcs;
    flow->experts = experts;
    flow->arcs = arcs;
}

static void list_by_rank(struct flow *flow)
{
    int32_t *first = flow->rank_first;
    memset(first, 0, ((size_t)flow->ranks + 1) * sizeof *first);
    for (int32_t a = 0; a < flow->arcs; a++)
        first[flow->rank_of[a] + 1]++;
    for (int32_t r = 0; r < flow->ranks; r++) {
        first[r + 1] += first[r];
        flow->rank_next[r] = first[r];
    }
    for (int32_t a = 0; a < flow->arcs; a++)
        flow->rank_arc[flow->rank_next[flow->rank_of[a]]++] = a;
}

/* Adds the ranks that `rank` reaches in one step to the queue; is one of them below z? */
static bool reach(struct flow *flow, int32_t rank, int32_t *queued)
{
    bool below = false;
    for (int32_t i = flow->rank_first[rank]; i < flow->rank_first[rank + 1]; i++) {
        int32_t expert = flow->expert_of[flow->rank_arc[i]];
        if (flow->units[flow->rank_arc[i]] == 0 || flow->expert_level[expert] >= 0)
            continue;
        flow->expert_level[expert] = flow->rank_level[rank];
        for (int32_t a = flow->first[expert]; a < flow->first[expert + 1]; a++) {
            int32_t next = flow->rank_of[a];
            if (flow->rank_level[next] >= 0)
                continue;
            flow->rank_level[next] = flow->rank_level[rank] + 1;
            flow->queue[(*queued)++] = next;
            below |= flow->load[next] < flow->z;
        }
    }
    return below;
}

/* Levels from the ranks above z, up to the first with a rank below it. `above`: how many are above,
 * `queued`: how many were reached, both the first of the queue. */
static bool find_levels(struct flow *flow, int32_t *above, int32_t *queued)
{
    int32_t count = 0, deepest = INT32_MAX;
    for (int32_t r = 0; r < flow->ranks; r++) {
        bool over = flow->load[r] > flow->z;
        flow->rank_level[r] = over ? 0 : -1;
        flow->rank_next[r] = flow->rank_first[r];
        if (over)
            flow->queue[count++] = r;
    }
    *above = count;
    for (int32_t e = 0; e < flow->experts && count; e++) {
        flow->expert_level[e] = -1;
        flow->expert_next[e] = flow->first[e];
    }
    for (int32_t i = 0; i < count && flow->rank_level[flow->queue[i]] < deepest; i++)
        if (reach(flow, flow->queue[i], &count) && deepest == INT32_MAX)
            deepest = flow->rank_level[flow->queue[i]] + 1;
    *queued = count;
    return deepest != INT32_MAX;
}

/* The next arc to give to on a shortest path from `rank`, and in *from the arc to take from. */
static int32_t next_arc(struct flow *flow, int32_t rank, int32_t *from)
{
    int32_t level = flow->rank_level[rank], end = flow->rank_first[rank + 1];
    for (; flow->rank_next[rank] < end; flow->rank_next[rank]++) {
        *from = flow->rank_arc[flow->rank_next[rank]];
        int32_t expert = flow->expert_of[*from], *next = &flow->expert_next[expert];
        if (flow->units[*from] == 0 || flow->expert_level[expert] != level)
            continue;
        for (; *next < flow->first[expert + 1]; ++*next)
            if (flow->rank_level[flow->rank_of[*next]] == level + 1)
                return *next;
    }
    return -1;
}

/* Moves what a path of `steps` from `source` to `sink` can carry. */
static void carry(struct flow *flow, int32_t source, int32_t sink, int32_t steps)
{
    int64_t most = flow->load[source] - flow->z, room = flow->z - flow->load[sink];
    most = room < most ? room : most;
    for (int32_t i = 0; i < steps; i++) {
        int64_t units = flow->units[flow->from[i]];
        most = units < most ? units : most;
    }
    for (int32_t i = 0; i < steps; i++) {
        flow->units[flow->from[i]] -= most;
        flow->units[flow->to[i]] += most;
    }
    flow->load[source] -= most;
    flow->load[sink] += most;
}

/* Empties one rank above z as far as the levels allow. */
static void drain(struct flow *flow, int32_t source)
{
    int32_t rank = source, steps = 0;
    while (flow->load[source] > flow->z) {
        if (flow->load[rank] < flow->z) {
            carry(flow, source, rank, steps);
            rank = source;
            steps = 0;
            continue;
        }
        int32_t from, to = next_arc(flow, rank, &from);
        if (to >= 0) {
            flow->from[steps] = from;
            flow->to[steps] = to;
            rank = flow->rank_of[to];
            steps++;
        } else if (steps == 0) {
            return;
        } else { /* a dead end: the expert it was reached over goes on behind it */
            steps--;
            flow->expert_next[flow->expert_of[flow->from[steps]]]++;
            rank = flow->rank_of[flow->from[steps]];
        }
    }
}

struct best {
    int64_t only;
    int32_t size;
    int32_t rank; /* the cut is this rank; -1: all the living; -2: the ranks reached */
};

static int64_t ceiling(int64_t a, int64_t b)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a rank lives */
    return a / b + (a % b != 0);
}

static void raise_level(struct flow *flow, int32_t reached, struct best *best)
{
    best->only = 0;
    best->size = reached;
    best->rank = -2;
    for (int32_t i = 0; i < reached; i++)
        best->only += flow->load[flow->queue[i]];
    flow->z = ceiling(best->only, reached);
}

static void first_bound(struct flow *flow, int32_t living, int64_t sum, struct best *best)
{
    *best = (struct best){.only = sum, .size = living, .rank = -1};
    flow->z = ceiling(sum, living);
    for (int32_t r = 0; r < flow->ranks; r++)
        if (flow->load[r] > flow->z) {
            flow->z = flow->load[r];
            *best = (struct best){.only = flow->z, .size = 1, .rank = r};
        }
}

static bool lives(const struct sl_flow_problem *problem, int32_t rank)
{
    return !problem->alive || problem->alive[rank];
}

static void mark_cut(const struct flow *flow, const struct sl_flow_problem *problem, int32_t rank,
                     uint8_t *cut)
{
    for (int32_t r = 0; r < flow->ranks; r++)
        cut[r] =
            rank == -2 ? flow->rank_level[r] >= 0 : rank == r || (rank == -1 && lives(problem, r));
}

static void hand_out(const struct flow *flow, const struct sl_flow_problem *problem,
                     struct sl_flow_answer *answer)
{
    if (answer->share) {
        for (int32_t e = 0; e < problem->experts; e++)
            for (int32_t c = problem->start[e]; c < problem->start[e + 1]; c++)
                answer->share[c] = c == problem->start[e] ? problem->load[e] : 0;
        for (int32_t a = 0; a < flow->arcs; a++)
            answer->share[flow->copy_of[a]] = flow->units[a];
    }
    int64_t left = problem->spread;
    for (int32_t r = 0; r < flow->ranks && answer->spread; r++) {
        int64_t room = lives(problem, r) ? flow->z - flow->load[r] : 0;
        answer->spread[r] = room < left ? room : left;
        left -= answer->spread[r];
    }
}

void sl_flow_solve(const struct sl_flow_problem *problem, struct sl_flow_answer *answer,
                   void *scratch)
{
    struct flow flow;
    struct best best;
    int64_t sum = problem->spread;
    int32_t living = 0, above, reached;
    bind(&flow, problem, scratch);
    for (int32_t r = 0; r < flow.ranks; r++)
        living += lives(problem, r);
    fold(&flow, problem, &sum);
    first_bound(&flow, living, sum, &best);
    list_by_rank(&flow);
    for (int32_t e = 0; e < flow.experts; e++)
        pour(&flow, e);
    for (int32_t e = 0; e < flow.experts; e++) {
        lift(&flow, e);
        pour(&flow, e);
    }
    for (;;) {
        bool more = find_levels(&flow, &above, &reached);
        if (above == 0 || SL_MUTANT(balance_only_poured))
            break;
        if (more) {
            for (int32_t i = 0; i < above; i++)
                drain(&flow, flow.queue[i]);
            continue;
        }
        raise_level(&flow, reached, &best);
        if (answer->cut)
            mark_cut(&flow, problem, -2, answer->cut);
    }
    if (SL_MUTANT(balance_cut_is_all))
        best.rank = -1;
    if (answer->cut && best.rank != -2)
        mark_cut(&flow, problem, best.rank, answer->cut);
    answer->greatest = flow.z;
    answer->only = best.only;
    answer->cut_size = best.size;
    hand_out(&flow, problem, answer);
}
