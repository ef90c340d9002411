/* SPDX-License-Identifier: Apache-2.0
 * The kernels' machine code and PTX, as nvcc wrote them to SLC_FATBIN. */
    .section .rodata
    .balign 64
    .globl slc_fatbin
    .hidden slc_fatbin
    .type slc_fatbin, @object
slc_fatbin:
    .incbin SLC_FATBIN
    .size slc_fatbin, . - slc_fatbin
    .section .note.GNU-stack, "", @progbits
