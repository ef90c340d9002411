#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SGLang's Triton router to PTX, without a GPU: for tests/bench_peers.py.

    bench_triton.py FOLDER SHAPE ARCH OUT.ptx

FOLDER holds the packages triton and sglang. The kernel is cut out of its module, whose imports need
torch. Prints the bytes of shared memory, threads and rows of a program, and the arguments.
"""
import json
import os
import re
import sys

SHAPES = {"deepseek-v3": (256, 8, 8, 4, 0), "qwen3": (128, 8, 1, 1, 2), "mixtral": (8, 2, 1, 1, 2)}


def load_kernel(folder, out):
    with open(f"{folder}/sglang/kernels/ops/moe/moe_fused_gate.py", encoding="utf-8") as file:
        text = file.read()
    cut = re.search(r"@triton\.jit\ndef _router_triton_kernel\(.*?(?=\n[A-Za-z@_])", text, re.S)[0]
    place = os.path.dirname(out)
    with open(f"{place}/router_cut.py", "w", encoding="utf-8") as file:
        file.write("import triton\nimport triton.language as tl\n"
                   f"from triton.language.extra import libdevice\n\n{cut}\n")
    sys.path[:0] = [folder, place]
    import router_cut  # pylint: disable=import-error,import-outside-toplevel
    return router_cut._router_triton_kernel


def main(folder, shape, arch, out):
    kernel = load_kernel(folder, out)
    import triton  # pylint: disable=import-error,import-outside-toplevel
    experts, top_k, groups, kept, scoring = SHAPES[shape]
    block = max(1, min(4, 256 // experts))
    sigmoid = scoring == 0
    const = {"N": experts, "K": top_k, "K_ROUTED": top_k, "BLOCK_M": block, "BLOCK_N": experts,
             "BLOCK_K": top_k, "N_GROUP": groups, "TOPK_GROUP": kept,
             "EXPERTS_PER_GROUP": experts // groups, "BLOCK_G": groups, "SCORING_FUNC": scoring,
             "SQRTSOFTPLUS_LOG1P": False, "HAS_SOFTCAP": False, "RENORMALIZE": True,
             "APPLY_SCALE": sigmoid, "HAS_BIAS": sigmoid, "HAS_TOKEN_BIAS": False,
             "BIAS_ALT_TOKEN_ID": 0, "HAS_PADDING": False, "HAS_PACKED": False,
             "RENORMALIZE_EPSILON": 0.0, "USE_PDL": True, "bias_alt_ptr": None, "input_ids_ptr": None,
             "num_token_non_padded_ptr": None}
    numbers = {"stride_bias": int(sigmoid), "stride_bias_alt": 0, "stride_input_ids": 0,
               "stride_sm": experts, "stride_sn": 1, "stride_wm": top_k, "stride_wk": 1,
               "stride_im": top_k, "stride_ik": 1, "stride_pm": 0, "stride_pk": 0}
    const |= {name: 1 for name, value in numbers.items() if value == 1}
    types = {"scores_ptr": "*fp32", "bias_ptr": "*fp32", "out_weights_ptr": "*fp32",
             "out_indices_ptr": "*i32", "out_packed_ptr": "*i32", "M": "i32",
             "routed_scaling_factor": "fp32", "moe_softcapping": "fp32"}
    signature = {n: "constexpr" if n in const else types.get(n, "i32") for n in kernel.arg_names}
    # Pointers are aligned, and numbers that 16 divides are told to be.
    attrs = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(kernel.arg_names)
             if signature[n].startswith("*") or (n in numbers and signature[n] == "i32" and
                                                 numbers[n] % 16 == 0)}
    source = triton.compiler.ASTSource(
        fn=kernel, signature=signature, attrs=attrs,
        constexprs={(kernel.arg_names.index(n),): v for n, v in const.items()})
    made = triton.compile(source, target=triton.backends.compiler.GPUTarget("cuda", int(arch), 32),
                          options={"num_warps": 1, "launch_pdl": True})
    with open(out, "w", encoding="utf-8") as file:
        file.write(made.asm["ptx"].split(".section")[0])
    with open(f"{out}.json", "w", encoding="utf-8") as file:
        json.dump({"shared": made.metadata.shared, "block": block,
                   "arguments": [(n, numbers.get(n)) for n in kernel.arg_names if n not in const]}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
