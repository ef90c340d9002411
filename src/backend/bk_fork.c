/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE 1 /* MAP_ANONYMOUS, madvise */
#include "bk_fork.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

const unsigned char *sl_fork_page(void)
{
    unsigned char *page =
        mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    (void)madvise(page, page_bytes(), MADV_WIPEONFORK);
    page[0] = 1;
    return page;
}

void sl_fork_page_free(const unsigned char *page)
{
    if (page)
        (void)munmap((void *)(uintptr_t)page, page_bytes());
}
