/* SPDX-License-Identifier: Apache-2.0
 * All kernels and what each is told: F(name, struct). The name in the module has slc_ before it.
 * The four of a gate are in this order. */
#ifndef SLC_KERNEL_LIST_H
#define SLC_KERNEL_LIST_H

#define SLC_KERNEL_LIST(F)                                                                         \
    F(topk, slc_job)                                                                               \
    F(remap, slc_job)                                                                              \
    F(record, slc_job)                                                                             \
    F(route, slc_job)                                                                              \
    F(slots, slc_job)                                                                              \
    F(topk_wide, slc_job)                                                                          \
    F(route_wide, slc_job)                                                                         \
    F(topk_few, slc_job)                                                                           \
    F(route_few, slc_job)                                                                          \
    F(topk_limit, slc_job)                                                                         \
    F(topk_limit_few, slc_job)                                                                     \
    F(route_limit, slc_job)                                                                        \
    F(route_limit_few, slc_job)                                                                    \
    F(topk_soft, slc_job)                                                                          \
    F(topk_soft_few, slc_job)                                                                      \
    F(route_soft, slc_job)                                                                         \
    F(route_soft_few, slc_job)                                                                     \
    F(topk_sigmoid, slc_job)                                                                       \
    F(topk_sigmoid_few, slc_job)                                                                   \
    F(route_sigmoid, slc_job)                                                                      \
    F(route_sigmoid_few, slc_job)                                                                  \
    F(topk_soft_256, slc_job)                                                                      \
    F(topk_soft_256_few, slc_job)                                                                  \
    F(route_soft_256, slc_job)                                                                     \
    F(route_soft_256_few, slc_job)                                                                 \
    F(topk_sigmoid_256, slc_job)                                                                   \
    F(topk_sigmoid_256_few, slc_job)                                                               \
    F(route_sigmoid_256, slc_job)                                                                  \
    F(route_sigmoid_256_few, slc_job)                                                              \
    F(lay_out, slc_move)                                                                           \
    F(tell_counts, slc_move)                                                                       \
    F(lay_rows, slc_move)                                                                          \
    F(pack, slc_move)                                                                              \
    F(unpack, slc_move)                                                                            \
    F(pad_rows, slc_move)                                                                          \
    F(give_rows, slc_move)                                                                         \
    F(give_sums, slc_move)                                                                         \
    F(add_rows, slc_move)                                                                          \
    F(carry, slc_carried)                                                                          \
    F(take_carried, slc_carried)                                                                   \
    F(balance_count, slc_balance_pass)                                                             \
    F(balance_solve, slc_balance_pass)                                                             \
    F(cost_solve, slc_balance_pass)                                                                \
    F(balance_place, slc_balance_pass)                                                             \
    F(balance_visit, slc_balance_pass)                                                             \
    F(balance_add, slc_balance_step)                                                               \
    F(water_count, slc_water)                                                                      \
    F(water_set, slc_water)                                                                        \
    F(water_place, slc_water)

enum slc_kernel {
#define SLC_KERNEL(name_, job_) SLC_K_##name_,
    SLC_KERNEL_LIST(SLC_KERNEL)
#undef SLC_KERNEL
        SLC_KERNELS
};

#endif
