#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peers' gates on the stand-in, in the same run and by the same counts as ours.

    bench_peers.py BUILD NVCC FOLDER

FOLDER holds the peers' packages, unpacked. Where they are not, this says how to get them. Their
CUDA sources are compiled to PTX as their own loaders do, one kernel of each is kept, and run with the
launch shape of the host code beside it, on f32 logits; what it chooses is compared with a plain loop.
"""
import ctypes
import json
import math
import os
import random
import re
import subprocess
import sys

PACKAGES = ("sglang==0.5.23", "flashinfer-python==0.7.2.post1", "apache-tvm-ffi==0.1.15.post2",
            "triton==3.9.0")
SHAPES = {"deepseek-v3": (256, 8), "qwen3": (128, 8), "mixtral": (8, 2)}
TOKENS = (1, 64, 4096)


def flashinfer_flags(folder, arch):
    data = f"{folder}/flashinfer/data"
    folders = ["include", "csrc", "csrc/nv_internal", "csrc/nv_internal/include", "spdlog/include",
               "cutlass/include", "cccl/cub", "cccl/libcudacxx/include", "cccl/thrust"]
    return (["-std=c++17", "-gencode", f"arch=compute_{arch}a,code=sm_{arch}a", "-O3", "-use_fast_math",
             "-DENABLE_BF16", "-DENABLE_FP8"] + [f"-I{data}/{f}" for f in folders] + tvm(folder))


def sglang_flags(folder, arch):
    jit = f"{folder}/sglang/kernels/jit"
    return ["-std=c++20", "--expt-relaxed-constexpr", "-gencode",
            f"arch=compute_{arch}a,code=sm_{arch}a", "-O3", "-DNDEBUG", f"-DSGL_CUDA_ARCH={arch}0",
            "--use_fast_math", f"-I{jit}/include", f"-I{jit}/csrc", f"-I{jit}/csrc/moe"] + tvm(folder)


def tvm(folder):
    return [f"-I{folder}/tvm_ffi/include", f"-I{folder}/tvm_ffi/3rdparty/dlpack/include"]


SOFTMAX = """#include "moe_topk_softmax.cuh"
namespace sglang {
template __global__ void topkGatingSoftmax<float, 4, 128, 4, 16>(
    const float*, const bool*, float*, int, int*, int, int, int, bool, float, const float*);
template __global__ void topkGatingSoftmax<float, 4, 8, 4, 16>(
    const float*, const bool*, float*, int, int*, int, int, int, bool, float, const float*);
}
"""


def pointer(value):
    return ctypes.c_uint64(value)


def deepseek_launch(tokens, buffers):
    integer = ctypes.c_int64
    return (tokens, (256, 1), [pointer(buffers[0]), pointer(buffers[2]), pointer(buffers[3]),
                               pointer(buffers[1]), integer(tokens), integer(8), integer(4), integer(8),
                               integer(256), integer(32), ctypes.c_double(2.5), pointer(0)], 0)


def cake_launch(tokens, buffers):
    integers = [ctypes.c_int32(v) for v in (tokens, 256, 8, 8, 4)]
    return (tokens, (256, 1), [pointer(buffers[0]), pointer(buffers[1]), pointer(buffers[2]),
                               pointer(buffers[3]), pointer(0), *integers, ctypes.c_float(2.5),
                               ctypes.c_int32(0)], 2176)


def softmax_launch(experts, top_k, rows_a_warp):
    def launch(tokens, buffers):
        warps = -(-tokens // rows_a_warp)
        return (-(-warps // 4), (32, 4),
                [pointer(buffers[0]), pointer(0), pointer(buffers[2]), ctypes.c_int32(tokens),
                 pointer(buffers[3]), ctypes.c_int32(top_k), ctypes.c_int32(0), ctypes.c_int32(experts),
                 ctypes.c_bool(True), ctypes.c_float(0), pointer(0)], 0)
    return launch


def triton_launch(facts):
    """From what bench_triton.py wrote of a compiled kernel."""
    def launch(tokens, buffers):
        given = {"scores_ptr": pointer(buffers[0]), "bias_ptr": pointer(buffers[1]),
                 "out_weights_ptr": pointer(buffers[2]), "out_indices_ptr": pointer(buffers[3]),
                 "out_packed_ptr": pointer(buffers[3]), "M": ctypes.c_int32(tokens),
                 "routed_scaling_factor": ctypes.c_float(2.5), "moe_softcapping": ctypes.c_float(0)}
        arguments = [given[name] if name in given else ctypes.c_int32(value)
                     for name, value in facts["arguments"]]
        scratch = [pointer(0), pointer(0)]
        return (-(-tokens // facts["block"]), (32, 1), arguments + scratch, facts["shared"])
    return launch


# name, shape, source (a path in the folder, or text), flags, mangled kernel, launch
PEERS = (
    ("flashinfer deepseek_v3_topk_kernel", "deepseek-v3",
     "flashinfer/data/csrc/fused_moe/noAuxTcKernels.cu", flashinfer_flags,
     "_ZN12tensorrt_llm7kernels23deepseek_v3_topk_kernelIfffiLi256ELb1EEE", deepseek_launch),
    ("flashinfer cake grouped", "deepseek-v3",
     "flashinfer/data/csrc/fused_moe/cake_deepseek_fused_routing/cake_deepseek_fused_routing_kernels.cu",
     flashinfer_flags, "kernel_cake_deepseek_routing_groupedIffLi4ELi8E", cake_launch),
    ("sglang topkGatingSoftmax", "qwen3", SOFTMAX, sglang_flags, "topkGatingSoftmaxIfLi4ELi128E",
     softmax_launch(128, 8, 1)),
    ("sglang topkGatingSoftmax", "mixtral", SOFTMAX, sglang_flags, "topkGatingSoftmaxIfLi4ELi8E",
     softmax_launch(8, 2, 16)),
)


def compile_ptx(build, nvcc, folder, source, flags, arch):
    out = f"{build}/obj/peers"
    os.makedirs(out, exist_ok=True)
    path = f"{folder}/{source}"
    if "\n" in source:
        path = f"{out}/softmax.cu"
        if not os.path.exists(path) or open(path, encoding="utf-8").read() != source:
            with open(path, "w", encoding="utf-8") as file:
                file.write(source)
    ptx = f"{out}/{os.path.basename(path)}.{arch}.ptx"
    if not os.path.exists(ptx) or os.path.getmtime(ptx) < os.path.getmtime(path):
        subprocess.run([nvcc, *flags(folder, arch), "-ptx", "-o", ptx, path], check=True,
                       capture_output=True)
    with open(ptx, encoding="utf-8") as file:
        return file.read()


def compile_triton(build, folder, shape, arch):
    """The PTX of SGLang's Triton router, and its launch."""
    ptx = f"{build}/obj/peers/router_{shape}.{arch}.ptx"
    if not os.path.exists(ptx + ".json"):
        os.makedirs(f"{build}/obj/peers", exist_ok=True)
        env = dict(os.environ, TRITON_CACHE_DIR=f"{build}/obj/peers/triton")
        subprocess.run([sys.executable, "tests/bench_triton.py", folder, shape, str(arch), ptx], env=env,
                       check=True, capture_output=True)
    with open(ptx + ".json", encoding="utf-8") as file:
        facts = json.load(file)
    with open(ptx, encoding="utf-8") as file:
        return file.read(), triton_launch(facts)


def only(ptx, kernel):
    """The module with one entry alone, and that entry's name."""
    pieces = re.split(r"(?m)^(?=\.(?:visible |weak |extern )*\.?(?:entry|func)\b)", ptx)
    kept = [p for p in pieces[1:] if re.match(rf"\.(?:visible |weak )*\.entry \w*{kernel}", p)]
    end = kept[0].index("\n}\n") + 3
    name = re.search(r"\.entry (\w+)", kept[0])[1]
    return pieces[0] + kept[0][:end], name


class Driver:
    """The stand-in, through ctypes."""

    def __init__(self, build, trace):
        os.environ["STANDIN_TRACE"] = self.trace = trace
        os.environ.setdefault("STANDIN_LOG", f"{build}/log/bench-peers.log")
        self.library = ctypes.CDLL(f"{build}/standin/libcuda.so.1")
        self.library.standin_message.restype = ctypes.c_char_p
        self.call("cuInit", 0)
        context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self.call("cuCtxSetCurrent", context)

    def call(self, name, *arguments):
        error = getattr(self.library, name)(*arguments)
        if error:
            raise RuntimeError(f"{name}: {error}: {self.library.standin_message().decode()}")

    def alloc(self, count):
        address = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(4 * count))
        return address.value

    def push(self, address, values):
        data = (ctypes.c_float * len(values))(*values)
        self.call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), data, ctypes.c_size_t(4 * len(values)))

    def pull(self, address, count, kind):
        data = (kind * count)()
        self.call("cuMemcpyDtoH_v2", data, ctypes.c_uint64(address), ctypes.c_size_t(4 * count))
        return list(data)

    def run(self, ptx, name, blocks, threads, arguments, shared):
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(module), ptx.encode())
        self.call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
        slots = (ctypes.c_void_p * len(arguments))(
            *[ctypes.cast(ctypes.pointer(a), ctypes.c_void_p) for a in arguments])
        open(self.trace, "w", encoding="utf-8").close()
        self.call("cuLaunchKernel", function, blocks, 1, 1, *threads, 1, shared, None, slots, None)
        self.call("cuCtxSynchronize")
        self.call("cuModuleUnload", module)
        with open(self.trace, encoding="utf-8") as file:
            words = file.read().split()
        return {words[i]: int(words[i + 1]) for i in range(1, len(words) - 1, 2)}


def expected(shape, logits, bias):
    """The set that a row chooses."""
    experts, top_k = SHAPES[shape]
    if shape != "deepseek-v3":
        return set(sorted(range(experts), key=lambda e: (-logits[e], e))[:top_k])
    rank = [1 / (1 + math.exp(-x)) + b for x, b in zip(logits, bias)]
    groups = [sum(sorted(rank[32 * g:32 * g + 32])[-2:]) for g in range(8)]
    kept = set(sorted(range(8), key=lambda g: (-groups[g], g))[:4])
    return set(sorted((e for e in range(experts) if e // 32 in kept),
                      key=lambda e: (-rank[e], e))[:top_k])


def measure(driver, shape, ptx, kernel, launch, tokens):
    experts, top_k = SHAPES[shape]
    rng = random.Random(1)
    logits = [rng.gauss(0, 2) for _ in range(tokens * experts)]
    bias = [rng.gauss(0, 0.05) for _ in range(experts)]
    buffers = [driver.alloc(tokens * experts), driver.alloc(experts), driver.alloc(tokens * top_k),
               driver.alloc(tokens * top_k)]
    driver.push(buffers[0], logits)
    driver.push(buffers[1], bias)
    text, entry = only(ptx, kernel)
    counts = driver.run(text, entry, *launch(tokens, buffers))
    ids = driver.pull(buffers[3], tokens * top_k, ctypes.c_int32)
    wrong = sum(set(ids[t * top_k:t * top_k + top_k]) !=
                expected(shape, logits[t * experts:(t + 1) * experts], bias) for t in range(tokens))
    for address in buffers:
        driver.call("cuMemFree_v2", ctypes.c_uint64(address))
    return counts, wrong


def ours(build):
    env = dict(os.environ, LD_LIBRARY_PATH=f"{build}/standin")
    out = subprocess.run([f"{build}/cuda_counts", f"{build}/libsluice_cuda.so", "topk", "f32"], env=env,
                         check=True, capture_output=True, text=True).stdout.splitlines()
    return {(w[0], int(w[3])): w for w in map(str.split, out[1:])}


def main(build, nvcc, folder):
    wanted = [f"{folder}/{p}" for p in ("flashinfer/data", "sglang/kernels/jit", "tvm_ffi/include")]
    if not all(map(os.path.isdir, wanted)):
        print(f"the peers' packages are not in {folder} (0.4 GB, triton 0.3 of it, which may be left out):")
        print(f"    python3 -m pip install --no-deps --target {folder} {' '.join(PACKAGES)}")
        return 0
    os.makedirs(f"{build}/log", exist_ok=True)
    mine = ours(build)
    driver = Driver(build, f"{build}/log/bench-peers.trace")
    print(f"{'gate, f32 logits':<36} {'shape':<12} {'arch':<7} {'T':>5} {'wi/token':>9} {'longest':>8} "
          f"{'load':>9} {'store':>8}  chosen as by a plain loop")
    failed = 0
    peers = list(PEERS)
    if os.path.isdir(f"{folder}/triton"):
        peers += [("sglang _router_triton_kernel", shape, None, None, "_router_triton_kernel", None)
                  for shape in SHAPES]
    else:
        print("triton is not there: SGLang's Triton router is not run")
    for name, shape, source, flags, kernel, launch in sorted(peers, key=lambda p: list(SHAPES).index(p[1])):
        for arch in (90, 100):
            try:
                if source:
                    ptx = compile_ptx(build, nvcc, folder, source, flags, arch)
                else:
                    ptx, launch = compile_triton(build, folder, shape, arch)
                for tokens in TOKENS:
                    counts, wrong = measure(driver, shape, ptx, kernel, launch, tokens)
                    print(f"{name:<36} {shape:<12} sm_{arch:<4} {tokens:>5} "
                          f"{counts['instructions'] / tokens:>9.1f} {counts['longest']:>8} "
                          f"{counts['load']:>9} {counts['store']:>8}  "
                          f"{'all rows' if not wrong else f'{wrong} rows differ'}", flush=True)
            except (RuntimeError, subprocess.CalledProcessError, IndexError) as why:
                failed = 1
                print(f"{name:<36} {shape:<12} sm_{arch:<4} not run: {why}")
    for (shape, tokens), words in mine.items():
        print(f"{'ours: topk':<36} {shape:<12} sm_90   {tokens:>5} {float(words[4]):>9.1f} "
              f"{words[5]:>8} {words[6]:>9} {words[7]:>8}")
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
