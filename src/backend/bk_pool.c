/* SPDX-License-Identifier: Apache-2.0 */
#include "bk_pool.h"

#include <pthread.h>
#include <stddef.h>

struct worker {
    struct sl_pool *pool;
    pthread_t thread;
    int32_t index; /* the part it runs: 1 ... */
};

struct sl_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    sl_job_fn *run;
    void *job;
    uint64_t round; /* raised for each job */
    int32_t parts;  /* of the present job */
    int32_t left;   /* workers that have not ended it */
    int32_t stop;
    int32_t count;
    struct worker workers[];
};

uint64_t sl_pool_bytes(int32_t threads)
{
    if (threads <= 1)
        return 0;
    return sizeof(struct sl_pool) + (uint64_t)(threads - 1) * sizeof(struct worker);
}

static void *work(void *argument)
{
    struct worker *self = argument;
    struct sl_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && pool->round == seen)
            pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->stop)
            break;
        seen = pool->round;
        if (self->index >= pool->parts)
            continue;
        pthread_mutex_unlock(&pool->lock);
        pool->run(pool->job, self->index, pool->parts);
        pthread_mutex_lock(&pool->lock);
        if (--pool->left == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct sl_pool *sl_pool_start(int32_t threads, void *memory, int *failed)
{
    *failed = 0;
    if (threads <= 1)
        return NULL;
    struct sl_pool *pool = memory;
    *pool = (struct sl_pool){.count = 0};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (int32_t i = 0; i < threads - 1; i++) {
        pool->workers[i] = (struct worker){.pool = pool, .index = i + 1};
        if (pthread_create(&pool->workers[i].thread, NULL, work, &pool->workers[i]) != 0) {
            *failed = 1;
            break;
        }
        pool->count++;
    }
    if (*failed) {
        sl_pool_stop(pool);
        return NULL;
    }
    return pool;
}

void sl_pool_stop(struct sl_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = 1;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int32_t i = 0; i < pool->count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
}

int32_t sl_pool_run(struct sl_pool *pool, sl_job_fn *run, void *job, int64_t units, int64_t grain)
{
    int64_t parts = pool ? units / grain : 1;
    if (pool && parts > pool->count + 1)
        parts = pool->count + 1;
    if (parts <= 1) {
        run(job, 0, 1);
        return 1;
    }
    pthread_mutex_lock(&pool->lock);
    pool->run = run;
    pool->job = job;
    pool->parts = (int32_t)parts;
    pool->left = (int32_t)parts - 1;
    pool->round++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    run(job, 0, (int32_t)parts);
    pthread_mutex_lock(&pool->lock);
    while (pool->left > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return (int32_t)parts;
}
