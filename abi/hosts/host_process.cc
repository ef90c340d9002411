// SPDX-License-Identifier: Apache-2.0
// A C++ engine with one process a rank and a transport of its own behind the plugin's callbacks:
// Unix sockets between all pairs. Decode steps run fixed-capacity dispatch and combine. Two
// processes are killed, one after the other; the rest are told who is lost, take the orchestrator's
// verdict, and go on with the same contexts, the same rank numbers and the same bits.
//
// Each step runs a draft model, then its target: two contexts with different routers, experts and
// groups of ranks. A third context serves the target with too little room.
//
// Contexts do not survive fork: each process opens its own.
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../ext/placement.h"
#include "../ext/ranks.h"
#include "../ext/route.h"
#include "host_mesh.h"

namespace
{

constexpr int kRanks = 4, kSteps = 8;
// Who is killed, in which step: before it, or between the target's dispatch and combine. Every
// expert of both models has a copy on rank 0 or 1.
constexpr struct {
    int step, rank;
    bool between;
} kKills[] = {{3, 2, false}, {5, 3, true}};
constexpr int kKillCount = 2;
constexpr int kHidden = 8, kTokens = 6;
constexpr std::int64_t kTimeout = 5'000'000'000;

// What a process of this engine says when something does not hold.
[[noreturn]] void die(int rank, const std::string &what)
{
    std::fprintf(stderr, "rank %d: %s\n", rank, what.c_str());
    std::_Exit(1);
}

// A tensor over a vector or array that outlives it.
struct Tensor {
    std::vector<std::int64_t> shape;
    sluice_tensor value{};
    Tensor(void *data, int code, std::vector<std::int64_t> extents) : shape(std::move(extents))
    {
        value.data = data;
        value.device = {SLUICE_CPU, 0};
        value.ndim = static_cast<std::int32_t>(shape.size());
        value.dtype = {static_cast<std::uint8_t>(code), 32, 1};
        value.shape = shape.data();
    }
    Tensor(const Tensor &) = delete;
    const sluice_tensor *get() const
    {
        return &value;
    }
};

template <class T> T sized()
{
    T value{};
    value.struct_size = sizeof(T);
    return value;
}

float noise(std::uint64_t seed)
{
    seed = (seed + 1) * 0x9E3779B97F4A7C15u;
    seed = (seed ^ (seed >> 29)) * 0xBF58476D1CE4E5B9u;
    return static_cast<float>(seed >> 40) / 8388608.0f - 1.0f;
}

// A model on this rank: its shape, and once it is open its context and the weights of its slots.
struct Model {
    const char *label;
    int experts, top_k, shared, slots, score, pair;
    sluice_context *context = nullptr;
    sluice_needs needs{};
    std::vector<float> weights{};

    int columns() const
    {
        return top_k + shared;
    }
    int local() const
    {
        return slots + shared;
    }
    // The checkpoint; experts is part of the seed, so that no two models have the same.
    float weight(int expert, int h) const
    {
        return noise(static_cast<std::uint64_t>((experts * 100 + expert + 8) * 64 + h));
    }
};

class Engine
{
  public:
    Engine(const char *plugin, int rank, Mesh &mesh) : rank_(rank), mesh_(mesh)
    {
        void *so = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
        if (!so)
            die(rank_, dlerror());
        auto get = reinterpret_cast<const sluice_api *(*)(std::uint32_t)>(dlsym(so, SLUICE_ENTRY));
        api_ = get ? get(SLUICE_ABI_MAJOR) : nullptr;
        if (!api_)
            die(rank_, "the plugin does not serve this ABI");
        route_ = table<sluice_route_api>(SLUICE_EXT_ROUTE);
        placement_ = table<sluice_placement_api>(SLUICE_EXT_PLACEMENT);
        ranks_ = table<sluice_ranks_api>(SLUICE_EXT_RANKS);
    }
    ~Engine()
    {
        for (Model *model : models())
            api_->close(model->context);
    }

    void open()
    {
        std::uint32_t group = 0;
        for (Model *model : models())
            open_one(*model, group++);
    }

    // One decode step, the draft first; false when `victim` was lost on the way. A rank that is to
    // die between the target's dispatch and combine does.
    bool step(int number, int victim, bool dies)
    {
        return run(draft_, number, victim, false) && run(target_, number, victim, dies);
    }

    // Room for one token from rank to rank: what does not fit is reported, never lost silently.
    void overflow()
    {
        Batch batch;
        sluice_handle handle;
        choose(tight_, batch, 77);
        sluice_status status = dispatch(tight_, batch, handle);
        if (status != SLUICE_OVERFLOW)
            die(rank_, "a dispatch over its capacity gave status " + std::to_string(status));
        auto fault = sized<sluice_fault>();
        check(tight_, ranks_->poll(tight_.context, &fault), "poll");
        if (fault.kind != SLUICE_FAULT_OVERFLOW || fault.had != 1 || fault.needed <= 1)
            die(rank_, "the fault record does not say what was needed");
        run_experts(tight_, batch);
        status = combine(tight_, batch, handle);
        if (status && status != SLUICE_OVERFLOW)
            check(tight_, status, "combine after an overflow");
        int hit = 0;
        for (int t = 0; t < kTokens; t++) {
            const float *out = &batch.out[t * kHidden];
            if (std::isnan(out[0]))
                hit++;
            else if (std::memcmp(out, dense(tight_, batch, t).data(), sizeof(float) * kHidden))
                die(rank_, "a token that was not hit is wrong");
        }
        if (!hit)
            die(rank_, "no token of this rank shows that it was hit");
        check(tight_, ranks_->clear(tight_.context), "clear");
    }

    // The orchestrator's verdict: who lives from now on.
    void survive(int generation, const std::vector<std::uint8_t> &alive)
    {
        std::vector<int> members;
        for (int r = 0; r < kRanks; r++)
            if (alive[r])
                members.push_back(r);
        auto group = static_cast<std::uint32_t>(generation * 10);
        for (Model *model : models())
            take(*model, group++, generation, members, alive);
    }

  private:
    struct Batch {
        std::vector<float> x, out, rows, weights, slot_weights;
        std::vector<std::int32_t> ids, slots, starts, row_slot;
    };

    template <class T> const T *table(const char *id)
    {
        auto found = static_cast<const T *>(api_->extension(id));
        if (!found)
            die(rank_, std::string("the plugin does not have ") + id);
        return found;
    }

    std::vector<Model *> models()
    {
        return {&target_, &draft_, &tight_};
    }

    void check(const Model &model, sluice_status status, const char *what)
    {
        if (!status)
            return;
        char text[512] = "";
        api_->last_error(model.context, text, sizeof text);
        die(rank_, std::string(what) + ": status " + std::to_string(status) + ": " + text);
    }

    // One group a context: independent orders of calls must not meet on one channel.
    void open_one(Model &model, std::uint32_t group)
    {
        groups_.push_back(std::make_unique<Group>(mesh_, group, std::vector<int>{0, 1, 2, 3}));
        auto router = sized<sluice_router>();
        router.experts = model.experts;
        router.top_k = model.top_k;
        router.shared = model.shared;
        router.score = model.score;
        auto layer = sized<sluice_layer>();
        layer.router = &router;
        layer.slots_per_rank = model.slots;
        const sluice_layer *layers[] = {&layer};
        auto transport = sized<sluice_transport>();
        transport.fixed_tokens = kTokens;
        transport.payload_row_bytes = kHidden * sizeof(float);
        transport.capacity_pair = model.pair;
        model.needs = sized<sluice_needs>();
        auto config = sized<sluice_config>();
        config.label = model.label;
        config.comm = groups_.back()->comm();
        config.layers = layers;
        config.layer_count = 1;
        config.transport = &transport;
        config.needs = &model.needs;
        config.uses = SLUICE_USE_FIXED;
        config.copy_policy = SLUICE_COPY_RANDOM;
        config.seed = 5;
        config.timeout_ns = kTimeout;
        char text[512] = "";
        if (api_->open(&config, &model.context, text, sizeof text))
            die(rank_, std::string("open: ") + text);
        load_weights(model);
    }

    void load_weights(Model &model)
    {
        std::vector<std::int32_t> holds(model.local());
        check(model,
              placement_->rows(model.context, 0, rank_, holds.data(),
                               static_cast<std::int64_t>(holds.size())),
              "rows");
        for (std::int32_t expert : holds)
            for (int h = 0; h < kHidden; h++)
                model.weights.push_back(expert == SLUICE_ROW_EMPTY ? 0 : model.weight(expert, h));
    }

    bool run(Model &model, int number, int victim, bool dies)
    {
        Batch batch;
        sluice_handle handle;
        choose(model, batch, number);
        sluice_status status = dispatch(model, batch, handle);
        if (dies)
            raise(SIGKILL);
        if (!status) {
            run_experts(model, batch);
            status = combine(model, batch, handle);
        }
        if (status == SLUICE_PEER_LOST)
            return lost(model, victim);
        check(model, status, "a decode step");
        for (int t = 0; t < kTokens; t++)
            if (std::memcmp(&batch.out[t * kHidden], dense(model, batch, t).data(),
                            sizeof(float) * kHidden))
                die(rank_, std::string(model.label) + ", step " + std::to_string(number) +
                               ": token " + std::to_string(t) +
                               " is not what the dense model gives");
        return true;
    }

    void choose(Model &model, Batch &b, int number)
    {
        const int columns = model.columns();
        std::vector<float> logits;
        auto seed = static_cast<std::uint64_t>(number * kRanks + rank_) * 100000;
        for (int i = 0; i < kTokens * model.experts; i++)
            logits.push_back(4 * noise(seed + i));
        for (int i = 0; i < kTokens * kHidden; i++)
            b.x.push_back(noise(seed + 50000 + i));
        b.ids.resize(kTokens * model.top_k);
        b.weights.resize(kTokens * model.top_k);
        b.slots.resize(kTokens * columns);
        b.slot_weights.resize(kTokens * columns);
        Tensor tl(logits.data(), SLUICE_FLOAT, {kTokens, model.experts});
        Tensor ti(b.ids.data(), SLUICE_INT, {kTokens, model.top_k});
        Tensor tw(b.weights.data(), SLUICE_FLOAT, {kTokens, model.top_k});
        Tensor ts(b.slots.data(), SLUICE_INT, {kTokens, columns});
        Tensor tv(b.slot_weights.data(), SLUICE_FLOAT, {kTokens, columns});
        auto args = sized<sluice_route_args>();
        args.logits = tl.get();
        args.ids = ti.get();
        args.weights = tw.get();
        args.dispatch_ids = ts.get();
        args.dispatch_weights = tv.get();
        check(model, route_->route(model.context, &args), "route");
    }

    sluice_status dispatch(Model &model, Batch &b, sluice_handle &handle)
    {
        const int columns = model.columns();
        b.rows.assign(model.needs.fixed_rows * kHidden, 0);
        b.starts.resize(model.local() + 1);
        Tensor tx(b.x.data(), SLUICE_FLOAT, {kTokens, kHidden});
        Tensor tr(b.rows.data(), SLUICE_FLOAT, {model.needs.fixed_rows, kHidden});
        Tensor ts(b.slots.data(), SLUICE_INT, {kTokens, columns});
        Tensor tw(b.slot_weights.data(), SLUICE_FLOAT, {kTokens, columns});
        Tensor tf(b.starts.data(), SLUICE_INT, {model.local() + 1});
        const sluice_tensor *x = tx.get(), *rows = tr.get();
        auto args = sized<sluice_dispatch_args>();
        args.phase = SLUICE_DISPATCH_FIXED;
        args.handle = &handle;
        args.payload_count = 1;
        args.payloads = &x;
        args.rows = &rows;
        args.dispatch_ids = ts.get();
        args.dispatch_weights = tw.get();
        args.slot_starts = tf.get();
        return api_->dispatch(model.context, &args);
    }

    void run_experts(const Model &model, Batch &b)
    {
        for (int slot = 0; slot < model.local(); slot++)
            for (int row = b.starts[slot]; row < b.starts[slot + 1]; row++)
                for (int h = 0; h < kHidden; h++)
                    b.rows[row * kHidden + h] *= model.weights[slot * kHidden + h];
    }

    sluice_status combine(Model &model, Batch &b, const sluice_handle &handle)
    {
        b.out.assign(kTokens * kHidden, 0);
        Tensor tr(b.rows.data(), SLUICE_FLOAT, {model.needs.fixed_rows, kHidden});
        Tensor to(b.out.data(), SLUICE_FLOAT, {kTokens, kHidden});
        auto args = sized<sluice_combine_args>();
        args.handle = &handle;
        args.rows = tr.get();
        args.out = to.get();
        return api_->combine(model.context, &args);
    }

    std::vector<float> dense(const Model &model, const Batch &b, int t)
    {
        const int columns = model.columns();
        std::vector<float> out(kHidden, 0);
        for (int c = 0; c < columns; c++) {
            int expert =
                c < model.top_k ? b.ids[t * model.top_k + c] : SLUICE_ROW_SHARED(c - model.top_k);
            float weight = c < model.top_k ? b.weights[t * model.top_k + c] : 1.0f;
            for (int h = 0; h < kHidden; h++)
                out[h] = std::fma(weight, model.weight(expert, h) * b.x[t * kHidden + h], out[h]);
        }
        return out;
    }

    // A rank is gone: the text and the fault record must name it.
    bool lost(const Model &model, int victim)
    {
        char text[512] = "";
        api_->last_error(model.context, text, sizeof text);
        auto fault = sized<sluice_fault>();
        check(model, ranks_->poll(model.context, &fault), "poll");
        if (fault.kind != SLUICE_FAULT_PEER || fault.rank != victim)
            die(rank_, "lost rank " + std::to_string(fault.rank) + ", not the victim: " + text);
        return false;
    }

    void take(Model &model, std::uint32_t group, int generation, const std::vector<int> &members,
              const std::vector<std::uint8_t> &alive)
    {
        groups_.push_back(std::make_unique<Group>(mesh_, group, members));
        auto verdict = sized<sluice_ranks>();
        verdict.generation = generation;
        verdict.alive = alive.data();
        verdict.comm = groups_.back()->comm();
        check(model, ranks_->set(model.context, &verdict, nullptr), "set ranks");
        check(model, ranks_->clear(model.context), "clear");
    }

    int rank_;
    Mesh &mesh_;
    const sluice_api *api_ = nullptr;
    const sluice_route_api *route_ = nullptr;
    const sluice_placement_api *placement_ = nullptr;
    const sluice_ranks_api *ranks_ = nullptr;
    Model target_{"target", 16, 2, 1, 8, SLUICE_SCORE_SIGMOID, 0};
    Model draft_{"draft", 8, 3, 0, 4, SLUICE_SCORE_SOFTMAX, 0};
    Model tight_{"tight", 16, 2, 1, 8, SLUICE_SCORE_SIGMOID, 1};
    std::vector<std::unique_ptr<Group>> groups_;
};

// The orchestrator's pipe to a rank: one byte a rank, who lives.
std::vector<std::uint8_t> read_verdict(int rank, int pipe)
{
    std::vector<std::uint8_t> alive(kRanks);
    pollfd ready{pipe, POLLIN, 0};
    if (poll(&ready, 1, 10000) != 1 || read(pipe, alive.data(), kRanks) != kRanks)
        die(rank, "no verdict came");
    return alive;
}

void run_rank(const char *plugin, int rank, std::vector<int> sockets, int pipe)
{
    Mesh mesh(rank, std::move(sockets));
    Engine engine(plugin, rank, mesh);
    engine.open();
    engine.overflow();
    int kills = 0;
    for (int number = 0; number < kSteps; number++) {
        int victim = kills < kKillCount ? kKills[kills].rank : -1;
        bool dies = rank == victim && number == kKills[kills].step;
        if (dies && !kKills[kills].between)
            raise(SIGKILL);
        if (engine.step(number, victim, dies))
            continue;
        if (victim < 0 || number != kKills[kills].step)
            die(rank, "a rank was lost in step " + std::to_string(number));
        kills++;
        engine.survive(kills, read_verdict(rank, pipe));
        number--; // the step is done again
    }
    if (kills != kKillCount)
        die(rank, "a lost rank was not noticed");
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s PLUGIN.so\n", argv[0]);
        return 2;
    }
    std::vector<std::vector<int>> sockets(kRanks, std::vector<int>(kRanks, -1));
    int pipes[kRanks][2];
    for (int a = 0; a < kRanks; a++) {
        if (pipe(pipes[a]))
            return 2;
        for (int b = a + 1; b < kRanks; b++) {
            int pair[2];
            if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
                return 2;
            sockets[a][b] = pair[0];
            sockets[b][a] = pair[1];
        }
    }
    pid_t ranks[kRanks];
    for (int r = 0; r < kRanks; r++) {
        ranks[r] = fork();
        if (ranks[r] < 0)
            return 2;
        if (ranks[r] == 0) {
            alarm(60);
            for (int a = 0; a < kRanks; a++)
                for (int b = 0; b < kRanks; b++)
                    if (a != r && sockets[a][b] >= 0)
                        close(sockets[a][b]);
            run_rank(argv[1], r, sockets[r], pipes[r][0]);
            std::_Exit(0);
        }
    }
    for (auto &row : sockets)
        for (int fd : row)
            if (fd >= 0)
                close(fd);
    int status = 0, failed = 0;
    std::vector<std::uint8_t> alive(kRanks, 1);
    for (const auto &kill : kKills) {
        waitpid(ranks[kill.rank], &status, 0);
        failed += !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
        alive[kill.rank] = 0;
        for (int r = 0; r < kRanks; r++)
            if (alive[r] && write(pipes[r][1], alive.data(), kRanks) != kRanks)
                failed++;
    }
    for (int r = 0; r < kRanks; r++)
        if (alive[r] && (waitpid(ranks[r], &status, 0) != ranks[r] || status))
            failed++;
    if (failed)
        std::printf("host_process: %d of %d processes failed\n", failed, kRanks);
    else
        std::printf("host_process: ok, %d processes with a draft and a target model, %d killed, "
                    "the others went on\n",
                    kRanks, kKillCount);
    return failed != 0;
}
