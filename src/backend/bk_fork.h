/* SPDX-License-Identifier: Apache-2.0
 * A byte that is 1 here and 0 in a child after fork, without a handler and without a system call
 * to ask. */
#ifndef SL_BK_FORK_H
#define SL_BK_FORK_H

const unsigned char *sl_fork_page(void); /* NULL: no memory */
void sl_fork_page_free(const unsigned char *page);

#endif
