#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Other planners for a whole model, on one core, beside `sluice bench --json FILE`.

    bench_eplb.py FILE [COUNTS...]

COUNTS as for `sluice bench --counts`: the first is planned for; without it, random counts. Each
planner is one that python3 can import: DeepSeek's eplb.py, and the copies in the packages of SGLang
and vLLM. 256 experts, 288 slots, 32 ranks, 8 groups, and 4 nodes where it is hierarchical.
"""
import importlib
import json
import sys
import time

SLOTS, RANKS, GROUPS, EXPERTS, LAYERS = 288, 32, 8, 256, 58
NODES = {"global": 1, "hierarchical, 4 nodes": 4}


def deepseek():
    plan = importlib.import_module("eplb").rebalance_experts
    return lambda load, nodes: plan(load, SLOTS, GROUPS, nodes, RANKS)


def sglang():
    plan = importlib.import_module("sglang.srt.eplb.eplb_algorithms.deepseek").rebalance_experts
    return lambda load, nodes: plan(weight=load, num_replicas=SLOTS, num_groups=GROUPS,
                                    num_nodes=nodes, num_gpus=RANKS, enable_hierarchical=nodes > 1)


def vllm():
    policy = importlib.import_module("vllm.distributed.eplb.policy.default").DefaultEplbPolicy
    return lambda load, nodes: policy.rebalance_experts(load, SLOTS, GROUPS, nodes, RANKS)


PLANNERS = {"eplb.py": deepseek, "sglang": sglang, "vllm": vllm}


def load_counts(torch, path):
    if path is None:
        return torch.distributions.LogNormal(0.0, 0.8).sample((LAYERS, EXPERTS)) * 1e4
    with open(path, encoding="utf-8") as file:
        rows = json.load(file)["logical_count"]
    return torch.tensor([row for row in rows if any(row)], dtype=torch.float32)


def fastest(call, seconds=2.0):
    """Milliseconds of one call, the fastest of as many as fit."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
    return best * 1e3


def main(path, counts=None, *_):
    with open(path, encoding="utf-8") as file:
        ours = {row["call"]: row["fastest"] for row in json.load(file)["rows"]
                if row["part"] == "plan"}
    found = {}
    for name, make in PLANNERS.items():
        try:
            found[name] = make()
        except (ImportError, AttributeError):
            print(f"{name} is not installed: not compared")
    if not found:
        return
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.manual_seed(1)
    load = load_counts(torch, counts)
    print(f"{'planner':<10} {'plan':<24} {'ms':>9} {'ours':>9} {'x ours':>8}")
    for name, plan in found.items():
        for call, nodes in NODES.items():
            spent = fastest(lambda: plan(load, nodes))
            print(f"{name:<10} {call:<24} {spent:9.1f} {ours[call]:9.2f} "
                  f"{spent / ours[call]:8.0f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
