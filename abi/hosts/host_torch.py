#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine whose ranks, tensors and collectives are torch's, as vLLM's and SGLang's are.

    torchrun --nproc-per-node 4 abi/hosts/host_torch.py PLUGIN

Comm is what to copy: the callbacks of sluice_comm over a gloo group of torch.distributed and, where
the plugin is CUDA's, torch's own ncclComm_t beside them. The rest shows it at work: each rank
routes its tokens, sends them to their experts, multiplies, gets the sums back, and compares them
with all experts on one rank. Host memory alone crosses the callbacks, so gloo serves on GPUs too,
where they are called at open and little else: counts and rows go by NCCL.
The branch for CUDA is as torch documents it and has not run yet, for want of a GPU.
"""
import ctypes as c
import datetime
import os
import sys

import torch
import torch.distributed as dist

import host_python as abi

EXPERTS, TOP_K, SHARED, TOKENS, HIDDEN, STEPS = 16, 4, 1, 24, 32, 3
OK, PEER_LOST, USE_EXACT, COUNT, SEND, NATIVE_NCCL = 0, 5, 1, 1, 2, 1
P, I32, I64, SIZE = c.c_void_p, c.c_int32, c.c_int64, c.c_size_t


# ------------------------------------------------------------------------------- the communicator

AllGather = c.CFUNCTYPE(I32, P, I32, P, P, SIZE, I64, c.POINTER(I32))
AllToAll = c.CFUNCTYPE(I32, P, I32, c.POINTER(P), c.POINTER(SIZE), c.POINTER(P), c.POINTER(SIZE),
                       I64, c.POINTER(I32))
Symbol = c.CFUNCTYPE(P, P, c.c_char_p)


def copied(address, size):
    return torch.frombuffer(bytearray(c.string_at(address, size)) or bytearray(1),
                            dtype=torch.uint8)[:size]


class Comm:
    """sluice_comm for a group of torch.distributed; outlives the context, which keeps pointers.

    All that crosses lies in torch's memory: an operation that a timeout leaves behind must not
    write into the plugin's. One group serves all channels of a context whose calls come in one
    order on all ranks; threads of an engine that call two contexts at once need a group for each.
    Without isend and irecv the plugin sums no windows, and after a loss `set` of sluice.ranks/1
    needs a new Comm over those who live.
    """

    def __init__(self, group, native=None):
        self.group, self.size = group, dist.get_world_size(group)
        self.callbacks = AllGather(self.all_gather), AllToAll(self.all_to_all), Symbol(self.symbol)
        gather, to_all, symbol = (c.cast(f, P) for f in self.callbacks)
        self.value = abi.Comm(rank=dist.get_rank(group), size=self.size, all_gather=gather,
                              all_to_all=to_all)
        if native:
            self.value.native_kind, self.value.native = NATIVE_NCCL, native
            self.value.native_symbol = symbol
            # The library that made the communicator, which torch has loaded.
            self.nccl = c.CDLL("libnccl.so.2", mode=os.RTLD_NOW | os.RTLD_NOLOAD)

    def close(self):
        """After the context, before destroy_process_group: torch aborts a process that still has
        a group when the interpreter ends."""
        self.group = None

    def finish(self, start, timeout_ns, peer):
        # An exception that leaves a callback would be taken for OK.
        try:
            start().wait(datetime.timedelta(microseconds=max(timeout_ns // 1000, 1)))
            return True
        except Exception as error:  # pylint: disable=broad-except
            print(f"rank {self.value.rank}: {error}", file=sys.stderr)
            peer[0] = -1  # gloo does not say who
            return False

    def all_gather(self, _user, _channel, send, recv, size, timeout_ns, peer):
        mine = copied(send, size)
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        if not self.finish(lambda: dist.all_gather(parts, mine, self.group, async_op=True),
                           timeout_ns, peer):
            return PEER_LOST
        for rank, part in enumerate(parts):
            c.memmove(recv + rank * size, part.data_ptr(), size)
        return OK

    def all_to_all(self, _user, _channel, send, send_bytes, recv, recv_bytes, timeout_ns, peer):
        sizes, expected = send_bytes[:self.size], recv_bytes[:self.size]
        mine = torch.cat([copied(send[r], n) if n else torch.empty(0, dtype=torch.uint8)
                          for r, n in enumerate(sizes)])
        theirs = torch.empty(sum(expected), dtype=torch.uint8)
        if not self.finish(lambda: dist.all_to_all_single(theirs, mine, expected, sizes, self.group,
                                                          async_op=True), timeout_ns, peer):
            return PEER_LOST
        for rank, part in enumerate(theirs.split(expected)):
            if expected[rank]:
                c.memmove(recv[rank], part.data_ptr(), expected[rank])
        return OK

    def symbol(self, _user, name):
        try:
            return c.cast(getattr(self.nccl, name.decode()), P).value
        except AttributeError:
            return None


# ------------------------------------------------------------------------------------- the engine

Transport = abi.struct(
    "Transport", "i64 max_tokens fixed_tokens payload_row_bytes combine_row_bytes capacity_pair",
    "i64 capacity_rows capacity_slot capacity_back", "i32 max_payloads lanes row_layout row_align",
    "i32 combine_order reserved")
TENSORS = c.POINTER(abi.TENSOR)
DispatchArgs = abi.struct(
    "DispatchArgs", "i32 layer phase", "pointer stream handle", "i32 lane payload_count",
    ("payloads", TENSORS), "tensor dispatch_ids dispatch_weights num_valid", ("rows", TENSORS),
    "tensor slot_counts slot_starts row_slot row_weight", ("row_count", c.POINTER(I64)),
    "i32 multiply reserved")
CombineArgs = abi.struct("CombineArgs", "i32 layer scale", "pointer stream handle",
                         "tensor rows zero_weight x out")
KINDS = {torch.float32: (2, 32), torch.bfloat16: (4, 16), torch.int32: (0, 32)}


def of(tensor):
    """A pointer to a sluice_tensor over torch's memory; ctypes keeps what it points to alive."""
    code, bits = KINDS[tensor.dtype]
    extents = [(I64 * tensor.dim())(*numbers) for numbers in (tensor.shape, tensor.stride())]
    kind, number = (2, tensor.device.index) if tensor.is_cuda else (1, 0)
    return c.pointer(abi.Tensor(tensor.data_ptr(), kind, number, tensor.dim(), code, bits, 1,
                                *extents))


def expert(number):
    """Its weights; shared expert j has number -2 - j."""
    source = torch.Generator().manual_seed(number + 100)
    return torch.randn(HIDDEN, HIDDEN, generator=source) / HIDDEN


class Engine:
    def __init__(self, plugin, comm, device):
        self.plugin, self.comm, self.device = plugin, comm, device
        self.dispatch = abi.call(P, c.POINTER(DispatchArgs))(plugin.api.dispatch)
        self.combine = abi.call(P, c.POINTER(CombineArgs))(plugin.api.combine)
        self.slots = -(-EXPERTS // comm.size)
        local = self.slots + SHARED
        router = abi.Router(experts=EXPERTS, top_k=TOP_K, renorm=1, shared=SHARED)
        layer = abi.Layer(router=c.pointer(router), slots_per_rank=self.slots)
        transport = Transport(max_tokens=TOKENS, payload_row_bytes=HIDDEN * 4)
        config = abi.Config(
            label=b"torch", comm=c.pointer(comm.value), layers=(c.POINTER(abi.Layer) * 1)(
                c.pointer(layer)), transport=c.addressof(transport), layer_count=1, uses=USE_EXACT)
        config.device = abi.Device(2 if device.type == "cuda" else 1, device.index or 0)
        self.context, text = P(), c.create_string_buffer(512)
        if plugin.api.open(c.byref(config), c.byref(self.context), text, 512) != OK:
            raise SystemExit(f"open: {text.value.decode()}")
        holds = (I32 * local)()
        self.must(plugin.placement.rows(self.context, 0, comm.value.rank, holds, local))
        self.weights = [None if e == -1 else expert(e).to(device) for e in holds]

    def must(self, status):
        if status != OK:
            text = c.create_string_buffer(512)
            self.plugin.api.last_error(self.context, text, 512)
            raise SystemExit(f"rank {self.comm.value.rank}: status {status}: {text.value.decode()}")

    def empty(self, *shape, dtype=torch.int32):
        return torch.empty(*shape, dtype=dtype, device=self.device)

    def layer(self, x, logits):
        """Outputs of the MoE layer, and what was chosen."""
        stream = torch.cuda.current_stream().cuda_stream if x.is_cuda else None
        ids, slots = self.empty(len(x), TOP_K), self.empty(len(x), TOP_K + SHARED)
        weights, slot_weights = (self.empty(*t.shape, dtype=torch.float32) for t in (ids, slots))
        self.must(self.plugin.route.route(self.context, c.byref(abi.RouteArgs(
            stream=stream, logits=of(logits), ids=of(ids), weights=of(weights),
            dispatch_ids=of(slots), dispatch_weights=of(slot_weights)))))

        handle, count, starts = (c.c_uint64 * 4)(), I64(), self.empty(len(self.weights) + 1)
        args = DispatchArgs(phase=COUNT, stream=stream, handle=c.addressof(handle),
                            dispatch_ids=of(slots), dispatch_weights=of(slot_weights),
                            slot_starts=of(starts), row_count=c.pointer(count))
        self.must(self.dispatch(self.context, c.byref(args)))
        rows = self.empty(count.value, HIDDEN, dtype=torch.float32)
        args.phase, args.payload_count = SEND, 1
        args.payloads, args.rows = ((abi.TENSOR * 1)(of(t)) for t in (x, rows))
        self.must(self.dispatch(self.context, c.byref(args)))

        begin = starts.tolist()
        for slot, weight in enumerate(self.weights):
            if weight is not None:
                rows[begin[slot]:begin[slot + 1]] = rows[begin[slot]:begin[slot + 1]] @ weight
        out = torch.empty_like(x)
        self.must(self.combine(self.context, c.byref(CombineArgs(
            stream=stream, handle=c.addressof(handle), rows=of(rows), out=of(out)))))
        return out, ids, weights


def dense(x, ids, weights):
    """The same on one rank, by logical experts."""
    out = x @ expert(-2).to(x.device)
    for e in range(EXPERTS):
        out += (weights * (ids == e)).sum(1, keepdim=True) * (x @ expert(e).to(x.device))
    return out


def main():
    plugin = abi.Plugin(sys.argv[1])
    native, device = None, torch.device("cpu")
    if plugin.api.backend == b"cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device)  # connects now, so that there is one
        # pylint: disable=protected-access
        native = dist.group.WORLD._get_backend(device)._comm_ptr()
    else:
        dist.init_process_group("gloo")
    comm = Comm(dist.new_group(backend="gloo"), native)
    engine = Engine(plugin, comm, device)
    torch.manual_seed(comm.value.rank)
    worst = 0.0
    for _ in range(STEPS):
        x = torch.randn(TOKENS, HIDDEN, device=device)
        out, ids, weights = engine.layer(x, torch.randn(TOKENS, EXPERTS, device=device) * 2)
        worst = max(worst, (out - dense(x, ids, weights)).abs().max().item())
    plugin.api.close(engine.context)
    comm.close()
    dist.destroy_process_group()
    if worst > 1e-5:
        raise SystemExit(f"rank {comm.value.rank}: outputs differ by {worst} from the dense model")
    if comm.value.rank == 0:
        print(f"host_torch: ok, {comm.size} ranks, outputs within {worst:.1e} of the dense model")


if __name__ == "__main__":
    main()
