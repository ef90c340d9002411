#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the CUDA kernels execute on the stand-in, beside what the peers' do, and what ptxas makes of
them. No figure is a time: nothing runs on a GPU.

    bench_cuda.py BUILD NVCC BENCH.json

Counts are cuda_counts' (tests/cuda): warp instructions of PTX, sectors of 32 bytes beside the least
that must move, launches. The peers' are PEER_KERNELS.md's, counted in the same way on the same
shapes with f32 logits; the gate alone, without remap and record.
"""
import json
import os
import re
import struct
import subprocess
import sys

ARCHS = (80, 90, 100, 120)

# shape -> T -> (best peer on sm_90, best on sm_100): warp instructions a token; and longest at T = 1.
PEERS = {
    "deepseek-v3": {1: (1432, 1083), 64: (1432, 1083), 4096: (1432, 1083), "longest": (796, 488),
                    "who": "Triton router / cake (SGLang's default 1853 / 1192)"},
    "qwen3": {1: (1162, 1032), 64: (581, 516), 4096: (581, 516), "longest": (1162, 1032),
              "who": "Triton router"},
    "mixtral": {1: (120, 120), 64: (15.2, 15.2), 4096: (15.2, 15.2), "longest": (120, 120),
                "who": "topkGatingSoftmax, Triton at T = 1"},
}
MOST_A_TOKEN = {"deepseek-v3": 560, "qwen3": 260, "mixtral": 5}

# Of a multiprocessor: registers, warps, blocks, bytes of shared memory.
MULTIPROCESSORS = {80: (65536, 64, 32, 167936), 90: (65536, 64, 32, 233472),
                   100: (65536, 64, 32, 233472), 120: (65536, 48, 24, 102400)}


def counts(build, env):
    """The rows of cuda_counts, for both types of logits."""
    rows = []
    for dtype in ("f32", "bf16"):
        out = subprocess.run([f"{build}/cuda_counts", f"{build}/libsluice_cuda.so", dtype], env=env,
                             check=True, capture_output=True, text=True).stdout.splitlines()
        for line in out[1:]:
            word = line.split()
            rows.append({"shape": word[0], "op": word[1], "type": word[2], "tokens": int(word[3]),
                         "wi_per_token": float(word[4]), "longest": int(word[5]),
                         "sectors": sum(map(int, word[6:9])), "least_sectors": float(word[9]),
                         "times_least": float(word[10]), "atomics_per_id": float(word[11]),
                         "launches": int(word[12])})
    return rows


def limits(row):
    """(what is limited, the figure, at most) of a row."""
    if row["op"] == "route" and row["tokens"] == 4096 and row["type"] == "f32":
        yield "wi/token", row["wi_per_token"], MOST_A_TOKEN[row["shape"]]
    if row["op"] == "route" and row["tokens"] == 4096 and row["type"] == "bf16":
        yield "sectors", row["times_least"], 1.05
    if row["shape"] == "deepseek-v3" and row["tokens"] == 1 and row["type"] == "f32":
        yield "longest", row["longest"], 500 if row["op"] == "topk" else 560
    if row["op"] == "route":
        yield "atoms/id", row["atomics_per_id"], 1


def print_counts(rows):
    print("CUDA kernels on the stand-in: warp instructions (wi), 32-byte sectors; peers: the gate alone")
    print(f"{'shape':<12} {'op':<6} {'type':<5} {'T':>5} {'wi/token':>9} {'peers 90/100':>13} {'longest':>8} "
          f"{'peers':>10} {'sectors':>8} {'x least':>7} {'atoms/id':>8} {'launches':>8}  limits")
    for row in rows:
        peer = PEERS[row["shape"]]
        a, b = peer[row["tokens"]]
        longest = "%g/%g" % peer["longest"] if row["tokens"] == 1 else ""
        beside = "; ".join(f"{what} {value:g} of {most:g}{'' if value <= most else ' MISSED'}"
                           for what, value, most in limits(row))
        print(f"{row['shape']:<12} {row['op']:<6} {row['type']:<5} {row['tokens']:>5} "
              f"{row['wi_per_token']:>9.1f} {f'{a:g}/{b:g}':>13} {row['longest']:>8} {longest:>10} "
              f"{row['sectors']:>8} {row['times_least']:>7.3f} {row['atomics_per_id']:>8.3f} "
              f"{row['launches']:>8}  {beside}")


def print_alone(build, env):
    """Kernels that cuda_counts does not have: the layout of a dispatch, and the step balance."""
    trace = f"{build}/log/bench-layout.trace"
    for tokens in (1, 4096):
        if os.path.exists(trace):
            os.remove(trace)
        subprocess.run([f"{build}/cuda_layout", f"{build}/libsluice_cuda.so", str(tokens)], check=True,
                       env=dict(env, STANDIN_TRACE=trace))
        with open(trace, encoding="utf-8") as file:
            words = [line.split() for line in file if line.startswith("slc_lay_out ")]
        most = max(int(word[6]) for word in words)
        print(f"layout of a dispatch, T = {tokens}: {most / tokens:.1f} warp instructions a token")
    solved = subprocess.run([f"{build}/balance_solves", "0", "1", "peer"], env=env, check=True,
                            capture_output=True, text=True).stdout
    print("step balance, as many replicas as ranks:\n" + solved.rsplit("\n", 2)[0])


def text_bytes(path):
    """Bytes of machine code of each kernel in a cubin; an instruction has 16."""
    with open(path, "rb") as file:
        data = file.read()
    offset, = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
    base = sections[names][4]
    found = {}
    for section in sections:
        name = data[base + section[0]:data.index(b"\0", base + section[0])].decode()
        if name.startswith(".text."):
            found[name[6:]] = section[5]
    return found


def occupancy(arch, registers, threads, shared):
    """Warps that a multiprocessor can hold of those that it has room for; registers are given to a
    warp by 256."""
    most_registers, most_warps, most_blocks, most_shared = MULTIPROCESSORS[arch]
    warps = (threads + 31) // 32
    each = (registers * 32 + 255) // 256 * 256
    blocks = min(most_blocks, most_warps // warps, most_registers // each // 4 * 4 // warps)
    if shared:
        blocks = min(blocks, most_shared // (shared + 1024))
    return blocks * warps / most_warps


def compiled(build, nvcc):
    """What ptxas says of each kernel and architecture."""
    rows, source = [], f"{build}/obj/cuda/kernels.cu"
    for arch in ARCHS:
        cubin = f"{build}/obj/cuda/bench_{arch}.cubin"
        flags = ["--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true", "-I.", "-lineinfo"]
        said = subprocess.run([nvcc, *flags, f"-arch=sm_{arch}", "-cubin", "-Xptxas", "-v", "-o", cubin,
                               source], check=True, capture_output=True, text=True)
        code = text_bytes(cubin)
        kernel = None
        for line in (said.stdout + said.stderr).splitlines():
            if found := re.search(r"Compiling entry function '(\w+)'", line):
                kernel = {"arch": arch, "kernel": found[1]}
            elif found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes "
                                    r"spill loads", line):
                kernel |= {"stack": int(found[1]), "spills": int(found[2]) + int(found[3])}
            elif found := re.search(r"Used (\d+) registers", line):
                shared = re.search(r"(\d+) bytes smem", line)
                kernel |= {"registers": int(found[1]), "shared": int(shared[1]) if shared else 0,
                           "sass": code[kernel["kernel"]] // 16}
                rows.append(kernel)
    return rows


def threads_of(build):
    """The most threads of a block, from the kernels' launch bounds."""
    with open(f"{build}/obj/cuda/bench.ptx", encoding="utf-8") as file:
        text = file.read()
    return {name: int(bound) for name, bound in
            re.findall(r"\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+)", text)}


def print_compiled(rows, threads):
    print("\nptxas: registers, bytes of stack and spills, static SASS instructions, bytes of static "
          "shared memory,\nand the part of a multiprocessor's warps that the most threads a block may "
          "have leave room for")
    print(f"{'kernel':<18} {'arch':<7} {'regs':>5} {'stack':>6} {'spills':>7} {'SASS':>6} {'shared':>7} "
          f"{'threads':>8} {'occupancy':>10}")
    for row in sorted(rows, key=lambda r: (r["kernel"], r["arch"])):
        row["threads"] = threads.get(row["kernel"], 1024)
        row["occupancy"] = occupancy(row["arch"], row["registers"], row["threads"], row["shared"])
        print(f"{row['kernel']:<18} sm_{row['arch']:<4} {row['registers']:>5} {row['stack']:>6} "
              f"{row['spills']:>7} {row['sass']:>6} {row['shared']:>7} {row['threads']:>8} "
              f"{row['occupancy']:>10.2f}{'  SPILLS' if row['spills'] or row['stack'] else ''}")


def main(build, nvcc, path):
    os.makedirs(f"{build}/log", exist_ok=True)
    env = dict(os.environ, LD_LIBRARY_PATH=f"{build}/standin", STANDIN_LOG=f"{build}/log/bench-cuda.log")
    rows = counts(build, env)
    print_counts(rows)
    for shape, peer in PEERS.items():
        print(f"peers of {shape}: {peer['who']}")
    print_alone(build, env)
    subprocess.run([nvcc, "-I.", "-arch=sm_90", "-ptx", "-o", f"{build}/obj/cuda/bench.ptx",
                    f"{build}/obj/cuda/kernels.cu"], check=True, capture_output=True)
    built = compiled(build, nvcc)
    print_compiled(built, threads_of(build))
    whole = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            whole = json.load(file)
    whole["cuda"] = {"counts": rows, "kernels": built}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(whole, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
