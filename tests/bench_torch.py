#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Routers as an engine writes them in torch, on one core, beside `sluice bench --json FILE`.

    bench_torch.py FILE

Only the choice of experts and weights, which is less than route does: no remap, no record.
"""
import json
import sys
import time

import torch


def deepseek_v3(logits, bias):
    tokens, experts = logits.shape
    scores = logits.sigmoid()
    ranked = scores + bias
    groups = ranked.view(tokens, 8, experts // 8).topk(2, dim=-1).values.sum(-1)
    kept = torch.zeros_like(groups).scatter_(1, groups.topk(4, dim=-1).indices, 1.0)
    mask = kept.bool().repeat_interleave(experts // 8, dim=1)
    ids = ranked.masked_fill(~mask, float("-inf")).topk(8, dim=-1).indices
    weights = scores.gather(1, ids)
    return ids, weights / (weights.sum(-1, keepdim=True) + 1e-20) * 2.5


def softmax_renorm(top_k):
    def route(logits, _):
        weights, ids = logits.softmax(dim=-1).topk(top_k, dim=-1)
        return ids, weights / weights.sum(-1, keepdim=True)
    return route


SHAPES = {"deepseek-v3": (256, deepseek_v3), "qwen3-235b": (128, softmax_renorm(8)),
          "mixtral-8x7b": (8, softmax_renorm(2))}


def fastest(call, seconds=0.3):
    """Nanoseconds of one call, the fastest of as many as fit."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter_ns()
        call()
        best = min(best, time.perf_counter_ns() - begin)
    return best


def main(path):
    with open(path, encoding="utf-8") as file:
        rows = [row for row in json.load(file)["rows"] if row["call"] == "route"]
    torch.set_num_threads(1)
    torch.manual_seed(1)
    print(f"torch {torch.__version__} on one core, the choice alone, ns a token")
    print(f"{'shape':<14} {'T':>5} {'torch':>10} {'route':>10} {'x torch':>8}")
    for name, (experts, route) in SHAPES.items():
        bias = torch.randn(experts) * 0.05
        for tokens in (1, 64, 4096):
            logits = torch.randn(tokens, experts)
            with torch.inference_mode():
                spent = fastest(lambda: route(logits, bias)) / tokens
            ours = min(row["fastest"] for row in rows
                       if row["item"] == name and row["tokens"] == tokens)
            print(f"{name:<14} {tokens:5d} {spent:10.1f} {ours:10.1f} {spent / ours:8.1f}")


if __name__ == "__main__":
    main(sys.argv[1])
