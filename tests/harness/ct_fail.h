/* What the system may refuse, refused on purpose, to the calls of one thread. The test program has
 * its own malloc and its kin, pthread_create and mmap, which the linked library binds to; under a
 * sanitizer, which has them already, nothing is refused. */
#ifndef CT_FAIL_H
#define CT_FAIL_H

#include <stdbool.h>
#include <stdint.h>

enum ct_resource { CT_MEMORY, CT_THREAD, CT_MAPPING, CT_RESOURCES };

/* From now on the nth request of the calling thread (1: the next) is refused; 0: none. Returns
 * false where this program cannot. */
bool ct_refuse(enum ct_resource resource, int64_t nth);

/* Requests of the calling thread since it last called ct_refuse for this resource. */
int64_t ct_requests(enum ct_resource resource);

#endif
