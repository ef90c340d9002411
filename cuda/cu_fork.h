/* SPDX-License-Identifier: Apache-2.0
 * A byte that is 1 here and 0 in a child after fork, without a handler and without a system call
 * to ask. */
#ifndef SLC_FORK_H
#define SLC_FORK_H

const unsigned char *slc_fork_page(void); /* NULL: no memory */
void slc_fork_page_free(const unsigned char *page);

#endif
