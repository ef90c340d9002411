#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Python engine with a transport of its own: ctypes and the standard library, nothing else.

Four ranks in one process, each with two contexts: the target model (sigmoid, a bias, a fused shared
expert, copies of hot experts) and its draft model (softmax, no shared expert). The plugin chooses,
maps and counts; this engine moves the tokens itself, here between Python lists.

An engine on GPUs captures route, and its own transport, in a CUDA graph. Where the plugin has
graphs, this one captures route with sluice.device/1 and launches it twice; on a backend without
graphs, as the CPU's, it says so and runs eagerly.
"""
import ctypes as c
import random
import sys

RANKS, TOKENS, HIDDEN, STEPS = 4, 8, 4, 3
OK, INVALID, NULL_ID = 0, 1, -1
OPEN_QUERY, COPY_RANDOM = 1, 1
CPU, FLOAT, INT = 1, 2, 0


# ------------------------------------------------------------------------------------ the header

class Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("device_type", c.c_int32), ("device_id", c.c_int32),
                ("ndim", c.c_int32), ("code", c.c_uint8), ("bits", c.c_uint8),
                ("lanes", c.c_uint16), ("shape", c.POINTER(c.c_int64)),
                ("strides", c.POINTER(c.c_int64)), ("byte_offset", c.c_uint64)]


TENSOR = c.POINTER(Tensor)


class Sized(c.Structure):
    """A struct of the ABI: zeros, its own size first."""

    def __init__(self, **values):
        super().__init__(struct_size=c.sizeof(self), **values)


def struct(name, *fields):
    """fields: "name type" texts; the types are those of the header."""
    types = {"i32": c.c_int32, "i64": c.c_int64, "u64": c.c_uint64, "f32": c.c_float,
             "text": c.c_char_p, "pointer": c.c_void_p, "tensor": TENSOR}
    pairs = [("struct_size", c.c_size_t)]
    for field in fields:
        if isinstance(field, tuple):
            pairs.append(field)
        else:
            kind, *names = field.split()
            pairs += [(n, types[kind]) for n in names]
    return type(name, (Sized,), {"_fields_": pairs})


Router = struct(
    "Router", "i32 experts top_k zero_experts zero_kind", "f32 logit_scale logit_cap",
    "i32 score bias_use bias_rows groups keep_groups group_value group_mode renorm",
    "f32 renorm_eps renorm_floor scale", "i32 scale_by shared shared_weight", "f32 shared_scale",
    "i32 weight_on")
Layer = struct("Layer", ("router", c.POINTER(Router)), ("bank", c.POINTER(c.c_int32)),
               "i32 slots_per_rank reserved")
Comm = struct("Comm", "i32 rank size", ("node", c.POINTER(c.c_int32)),
              "pointer user all_gather all_to_all isend irecv poll cancel resume",
              "i32 native_kind reserved", "pointer native native_symbol")
Needs = struct("Needs", "u64 device_bytes pinned_bytes host_bytes staging_bytes",
               "i64 fixed_rows dispatch_wire_bytes combine_wire_bytes", "i32 communicators threads")


class Device(c.Structure):
    _fields_ = [("type", c.c_int32), ("id", c.c_int32)]


Config = struct("Config", "text label", "pointer host", ("comm", c.POINTER(Comm)),
                ("layers", c.POINTER(c.POINTER(Layer))), "pointer transport",
                ("needs", c.POINTER(Needs)), ("device", Device),
                "i32 layer_count uses flags max_ranks copy_policy shared_policy", "u64 seed",
                "i64 timeout_ns")
TopkArgs = struct("TopkArgs", "i32 layer reserved", "pointer stream",
                  "tensor logits bias bias_row expert_scale shared_logits forced_ids forced_row",
                  "tensor row_valid num_valid ids weights shared_weights zero_weight")
RecordArgs = struct("RecordArgs", "i32 layer reserved", "pointer stream",
                    "tensor recorder_ids num_valid")
RouteArgs = struct("RouteArgs", "i32 layer skip_record", "pointer stream",
                   "tensor logits bias bias_row expert_scale shared_logits forced_ids forced_row",
                   "tensor row_valid num_valid step row_base dispatch_ids dispatch_weights",
                   "tensor recorder_ids ids weights shared_weights zero_weight_here")
Shape = struct("Shape", "i32 experts slots_per_rank ranks shared rank bank", "i64 epoch")
LoadSlots = struct("LoadSlots", "i32 layer reserved", "pointer stream", "tensor slot_counts")


def call(*arguments):
    return c.CFUNCTYPE(c.c_int32, *arguments)


P, I32, I64, SIZE = c.c_void_p, c.c_int32, c.c_int64, c.c_size_t


class Api(c.Structure):
    _fields_ = [("abi_major", c.c_uint32), ("abi_minor", c.c_uint32), ("size", c.c_uint64),
                ("backend", c.c_char_p), ("version", c.c_char_p),
                ("open", call(c.POINTER(Config), c.POINTER(P), c.c_char_p, SIZE)),
                ("close", c.CFUNCTYPE(None, P)),
                ("last_error", c.CFUNCTYPE(SIZE, P, c.c_char_p, SIZE)),
                ("topk", call(P, c.POINTER(TopkArgs))), ("remap", P),
                ("record", call(P, c.POINTER(RecordArgs))), ("get_moe_weights", P),
                ("dispatch", P), ("combine", P),
                ("extension", c.CFUNCTYPE(P, c.c_char_p))]


class RouteApi(c.Structure):
    _fields_ = [("struct_size", SIZE), ("route", call(P, c.POINTER(RouteArgs)))]


class PlacementApi(c.Structure):
    _fields_ = [("struct_size", SIZE), ("shape", call(P, I32, c.POINTER(Shape))),
                ("validate", call(I32, I32, I32, c.POINTER(I32), I64, c.c_char_p, SIZE)),
                ("set", call(P, I32, c.POINTER(I32), I64, I64, P)),
                ("get", call(P, I32, c.POINTER(I32), I64, c.POINTER(I64))),
                ("rows", call(P, I32, I32, c.POINTER(I32), I64)),
                ("find", call(P, I32, I32, I32, c.POINTER(I32), I32, c.POINTER(I32)))]


class DeviceApi(c.Structure):
    _fields_ = [("struct_size", SIZE),
                ("count", call(c.POINTER(I32), c.POINTER(Device), c.c_char_p, SIZE)),
                ("alloc", call(Device, SIZE, c.POINTER(P))),
                ("free", c.CFUNCTYPE(None, Device, P)), ("copy", call(Device, P, P, SIZE, P)),
                ("stream", call(Device, c.POINTER(P))),
                ("stream_free", c.CFUNCTYPE(None, Device, P)), ("wait", call(Device, P)),
                ("capture_begin", call(Device, P)), ("capture_end", call(Device, P, c.POINTER(P))),
                ("graph_launch", call(Device, P, P)), ("graph_free", c.CFUNCTYPE(None, Device, P)),
                ("paths", c.CFUNCTYPE(c.POINTER(c.c_char_p))), ("use_path", call(c.c_char_p))]


class LoadApi(c.Structure):
    _fields_ = [("struct_size", SIZE), ("read", P),
                ("snapshot", call(P, c.POINTER(I64), I64, P)), ("reset", call(P, I32, P)),
                ("add_slots", call(P, c.POINTER(LoadSlots))),
                ("read_logical", call(P, I32, c.POINTER(I64), I64, P))]


# ------------------------------------------------------------------------------------- the plugin

class Array:
    """Memory with a tensor over it, [rows, columns] or [rows]."""

    def __init__(self, kind, rows, columns=0, values=()):
        self.columns = columns
        self.data = (kind * (rows * max(columns, 1)))(*values)
        self.shape = (c.c_int64 * 2)(rows, columns)
        self.tensor = Tensor(c.addressof(self.data), CPU, 0, 2 if columns else 1,
                             FLOAT if kind is c.c_float else INT, c.sizeof(kind) * 8, 1, self.shape)

    def __getitem__(self, row):
        return list(self.data[row * self.columns:(row + 1) * self.columns])

    @property
    def ref(self):
        return c.pointer(self.tensor)


class Plugin:
    def __init__(self, path):
        entry = c.CDLL(path).sluice_plugin_get
        entry.argtypes, entry.restype = [c.c_uint32], c.POINTER(Api)
        self.api = entry(1).contents
        self.route = self.table(b"sluice.route/1", RouteApi)
        self.placement = self.table(b"sluice.placement/1", PlacementApi)
        self.load = self.table(b"sluice.load/1", LoadApi)
        self.device = self.table(b"sluice.device/1", DeviceApi)

    def table(self, name, kind):
        address = self.api.extension(name)
        if not address:
            raise SystemExit(f"the plugin does not have {name.decode()}")
        return c.cast(address, c.POINTER(kind)).contents


class Mirror:
    """An array on the plugin's device, and its copies there and back."""

    def __init__(self, device, place, array):
        self.device, self.place, self.array, self.data = device, place, array, P()
        self.bytes = c.sizeof(array.data)
        if device.alloc(place, self.bytes, c.byref(self.data)) != OK:
            raise SystemExit(f"no {self.bytes} bytes on the device")
        self.tensor = Tensor.from_buffer_copy(array.tensor)
        self.tensor.data, self.tensor.shape = self.data, array.shape
        self.tensor.device_type, self.tensor.device_id = place.type, place.id

    def push(self, stream):
        return self.device.copy(self.place, self.data, c.addressof(self.array.data), self.bytes,
                                stream)

    def pull(self, stream):
        return self.device.copy(self.place, c.addressof(self.array.data), self.data, self.bytes,
                                stream)

    @property
    def ref(self):
        return c.pointer(self.tensor)


class Model:
    """One MoE model on one rank: a context, and weights loaded by what the placement says."""

    def __init__(self, plugin, label, rank, router, slots, query=False):
        self.plugin, self.label, self.rank, self.router, self.slots = (
            plugin, label, rank, router, slots)
        self.comm = Comm(rank=rank, size=RANKS)  # no callbacks: the transport is this engine's
        layer = Layer(router=c.pointer(router), slots_per_rank=slots)
        layers = (c.POINTER(Layer) * 1)(c.pointer(layer))
        self.needs = Needs()
        config = Config(label=label.encode(), comm=c.pointer(self.comm), layers=layers,
                        needs=c.pointer(self.needs), layer_count=1, copy_policy=COPY_RANDOM,
                        seed=11, flags=OPEN_QUERY if query else 0)
        self.context = P()
        text = c.create_string_buffer(512)
        if plugin.api.open(c.byref(config), c.byref(self.context), text, 512) != OK:
            raise SystemExit(f"open {label}: {text.value.decode()}")

    def close(self):
        self.plugin.api.close(self.context)

    def error(self):
        text = c.create_string_buffer(512)
        self.plugin.api.last_error(self.context, text, 512)
        return text.value.decode()

    def must(self, status):
        if status != OK:
            raise SystemExit(f"{self.label}, rank {self.rank}: status {status}: {self.error()}")

    def load_weights(self):
        local = self.slots + self.router.shared
        holds = (I32 * local)()
        self.must(self.plugin.placement.rows(self.context, 0, self.rank, holds, local))
        self.weights = [None if e == NULL_ID else checkpoint(self.label, e) for e in holds]

    def set_placement(self, expert_of):
        count = len(expert_of)
        data = (I32 * count)(*expert_of)
        text = c.create_string_buffer(256)
        if self.plugin.placement.validate(0, self.router.experts, RANKS, data, count, text, 256):
            raise SystemExit(text.value.decode())
        self.must(self.plugin.placement.set(self.context, 0, data, count, 0, None))
        self.load_weights()

    def choose(self, batch, skip_record=0):
        r, tokens = self.router, len(batch.x)
        logits = Array(c.c_float, tokens, r.experts, sum(batch.logits, []))
        bias = Array(c.c_float, r.experts, 0, [0.05 * (e % 3) for e in range(r.experts)])
        batch.ids = Array(c.c_int64, tokens, r.top_k)  # as torch.topk gives them
        batch.weights = Array(c.c_float, tokens, r.top_k)
        batch.slots = Array(c.c_int32, tokens, r.top_k + r.shared)
        batch.slot_weights = Array(c.c_float, tokens, r.top_k + r.shared)
        batch.recorder = Array(c.c_int32, tokens, r.top_k)
        self.must(self.plugin.route.route(self.context, c.byref(RouteArgs(
            skip_record=skip_record, logits=logits.ref, bias=bias.ref if r.bias_use else None,
            ids=batch.ids.ref, weights=batch.weights.ref, dispatch_ids=batch.slots.ref,
            dispatch_weights=batch.slot_weights.ref, recorder_ids=batch.recorder.ref))))

    def record(self, ids):
        args = RecordArgs(recorder_ids=ids.ref)
        self.must(self.plugin.api.record(self.context, c.byref(args)))

    def counts(self):
        data = (I64 * self.router.experts)()
        self.must(self.plugin.load.read_logical(self.context, 0, data, self.router.experts, None))
        return list(data)

    def reset(self):
        self.must(self.plugin.load.reset(self.context, -1, None))


# ------------------------------------------------------------------------------------- the engine

def checkpoint(label, expert):
    return [random.Random(f"{label} {expert} {h}").uniform(-1, 1) for h in range(HIDDEN)]


class Batch:
    def __init__(self, model, number):
        source = random.Random(f"{model.label} {model.rank} {number}")
        self.logits = [[source.gauss(0, 2) for _ in range(model.router.experts)]
                       for _ in range(TOKENS)]
        self.x = [[source.uniform(-1, 1) for _ in range(HIDDEN)] for _ in range(TOKENS)]


def serve(models, batches):
    """One step: tokens travel in lists to the rank of each slot and back. Returns outputs, and how
    many rows each local slot got."""
    local = models[0].slots + models[0].router.shared
    mail = [[] for _ in range(RANKS)]
    for home, batch in enumerate(batches):
        for t, x in enumerate(batch.x):
            for column, slot in enumerate(batch.slots[t]):
                if slot >= 0:
                    mail[slot // local].append((home, t, column, slot % local, x))
    rows = [[0] * local for _ in range(RANKS)]
    back = {}
    for rank, letters in enumerate(mail):
        for home, t, column, slot, x in letters:
            rows[rank][slot] += 1
            y = [w * v for w, v in zip(models[rank].weights[slot], x)]
            back[home, t, column] = y
    outputs = []
    for home, batch in enumerate(batches):
        outputs.append([])
        for t in range(len(batch.x)):
            out = [0.0] * HIDDEN
            for column, weight in enumerate(batch.slot_weights[t]):
                y = back.get((home, t, column), [0.0] * HIDDEN)
                out = [a + weight * b for a, b in zip(out, y)]
            outputs[-1].append(out)
    return outputs, rows


def dense(model, batch):
    """The same without any expert parallelism, by logical ids."""
    outputs = []
    for t, x in enumerate(batch.x):
        pairs = list(zip(batch.ids[t], batch.weights[t]))
        pairs += [(-2 - j, 1.0) for j in range(model.router.shared)]
        out = [0.0] * HIDDEN
        for expert, weight in pairs:
            y = [w * v for w, v in zip(checkpoint(model.label, expert), x)]
            out = [a + weight * b for a, b in zip(out, y)]
        outputs.append(out)
    return outputs


class Verdict:
    def __init__(self):
        self.checks = self.failed = 0

    def __call__(self, held, what):
        self.checks += 1
        if not held:
            self.failed += 1
            print(f"does not hold: {what}", file=sys.stderr)


def route_and_serve(models, number, check, **options):
    batches = [Batch(model, number) for model in models]
    for model, batch in zip(models, batches):
        model.choose(batch, **options)
    outputs, rows = serve(models, batches)
    for model, batch, output in zip(models, batches, outputs):
        check(output == dense(model, batch), f"{model.label}: outputs are those of the dense model")
    return batches, outputs, rows


def chosen(batches, experts):
    counts = [0] * experts
    for batch in batches:
        for t in range(len(batch.x)):
            for expert in batch.ids[t]:
                counts[expert] += 1
    return counts


def summed(models):
    return [sum(column) for column in zip(*(model.counts() for model in models))]


def best(row, top_k):
    return sorted(range(len(row)), key=lambda e: (-row[e], e))[:top_k]


def check_models_apart(target, draft, check):
    """Draft and target are served in turn; neither's counters or ids see the other."""
    for models in (target, draft):
        for model in models:
            model.reset()
    seen = {id(target): [], id(draft): []}
    for number in range(STEPS):
        for models in (draft, target):
            seen[id(models)] += route_and_serve(models, number, check)[0]
    for models in (target, draft):
        want = chosen(seen[id(models)], models[0].router.experts)
        check(summed(models) == want, f"{models[0].label}: each routed choice is counted once")
    for batch in seen[id(draft)]:
        # f32 rounds the logits that this engine drew in f64, but none as close as that.
        check(all(batch.ids[t] == best(row, 2) for t, row in enumerate(batch.logits)),
              "draft: the greatest logits are chosen")
    for model in target:
        model.reset()
    batches = route_and_serve(target, 0, check, skip_record=1)[0]
    check(sum(summed(target)) == 0, "target: a dummy batch is not counted")
    for model, batch in zip(target, batches):
        model.record(batch.recorder)
    want = chosen(batches, target[0].router.experts)
    check(summed(target) == want, "target: record counts what route left out")


def check_slot_counts(draft, target, check):
    """What the engine's own transport counted by local slot, shared rows among it."""
    for models in (draft, target):
        batches, _, rows = route_and_serve(models, 7, check, skip_record=1)
        for model in models:
            model.reset()
            counted = Array(c.c_int64, len(rows[model.rank]), 0, rows[model.rank])
            args = LoadSlots(slot_counts=counted.ref)
            model.must(model.plugin.load.add_slots(model.context, c.byref(args)))
        want = chosen(batches, models[0].router.experts)
        check(summed(models) == want, f"{models[0].label}: counts by slot give the same load")


def check_new_placement(target, check):
    _, before, _ = route_and_serve(target, 5, check)
    physical = target[0].slots * RANKS
    experts = target[0].router.experts
    for model in target:
        model.set_placement([(p * 3 + p // experts) % experts for p in range(physical)])
    _, after, _ = route_and_serve(target, 5, check)
    check(before == after, "target: outputs do not depend on the placement")


def has_graphs(device):
    """A function that a plugin has not is NULL, which ctypes takes for false."""
    return bool(device.capture_begin and device.capture_end and device.graph_launch)


def check_graph(draft, check):
    """route in a graph, launched twice, gives and counts what two eager calls do."""
    model, device = draft[0], draft[0].plugin.device
    if not has_graphs(device):
        print("graphs: this backend has none, route runs eagerly")
        return
    number, place, stream, graph = I32(), Device(), P(), P()
    text = c.create_string_buffer(256)
    if device.count(c.byref(number), c.byref(place), text, 256) != OK or not number.value:
        print(f"graphs: no device ({text.value.decode()}), route runs eagerly")
        return
    batch = Batch(model, 9)
    logits = Mirror(device, place, Array(c.c_float, TOKENS, model.router.experts,
                                         sum(batch.logits, [])))
    ids = Mirror(device, place, Array(c.c_int64, TOKENS, model.router.top_k))
    weights = Mirror(device, place, Array(c.c_float, TOKENS, model.router.top_k))
    model.reset()
    model.must(device.stream(place, c.byref(stream)))
    model.must(logits.push(stream))
    args = RouteArgs(stream=stream, logits=logits.ref, ids=ids.ref, weights=weights.ref)
    if device.capture_begin(place, stream) != OK:
        print("graphs: this backend cannot capture here, route runs eagerly")
        return
    model.must(model.plugin.route.route(model.context, c.byref(args)))
    model.must(device.capture_end(place, stream, c.byref(graph)))
    check(sum(model.counts()) == 0, "a captured route has not run")
    for _ in range(2):
        model.must(device.graph_launch(place, graph, stream))
    model.must(ids.pull(stream))
    model.must(device.wait(place, stream))
    check([ids.array[t] for t in range(TOKENS)] ==
          [best(row, model.router.top_k) for row in batch.logits], "a graph chooses as a call does")
    batch.ids = ids.array
    want = [2 * n for n in chosen([batch], model.router.experts)]
    check(model.counts() == want, "two launches of a graph count twice")
    print("graphs: route was captured and launched twice")
    device.graph_free(place, graph)
    for mirror in (logits, ids, weights):
        device.free(place, mirror.data)
    device.stream_free(place, stream)


def check_errors(target, check):
    """Every wrong argument is a status and a text that names it."""
    model = target[0]
    short = Array(c.c_float, TOKENS, 3)
    status = model.plugin.route.route(model.context, c.byref(RouteArgs(logits=short.ref,
                                                                        ids=short.ref)))
    check(status == INVALID and "logits" in model.error(), "the text names the argument")
    args = TopkArgs(layer=9)
    status = model.plugin.api.topk(model.context, c.byref(args))
    check(status == INVALID and "layer" in model.error(), "the text names the layer")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: {sys.argv[0]} PLUGIN.so")
    plugin, check = Plugin(sys.argv[1]), Verdict()
    target_router = Router(experts=16, top_k=4, score=1, bias_use=1, renorm=1, shared=1)
    draft_router = Router(experts=8, top_k=2)
    query = Model(plugin, "target", 0, target_router, 6, query=True)
    check(not query.context, "a query opens nothing")
    print(f"backend {plugin.api.backend.decode()} {plugin.api.version.decode()}; a context of the "
          f"target needs {query.needs.host_bytes} bytes of host memory, "
          f"{query.needs.device_bytes} of a device")
    target = [Model(plugin, "target", r, target_router, 6) for r in range(RANKS)]
    draft = [Model(plugin, "draft", r, draft_router, 2) for r in range(RANKS)]
    for model in target + draft:
        model.load_weights()
    check_models_apart(target, draft, check)
    check_slot_counts(draft, target, check)
    check_new_placement(target, check)
    check_graph(draft, check)
    check_errors(target, check)
    for model in target + draft:
        model.close()
    print(f"host_python: {f'{check.failed} of' if check.failed else 'ok,'} {check.checks} checks"
          f"{' failed' if check.failed else ''}")
    sys.exit(check.failed > 0)


if __name__ == "__main__":
    main()
