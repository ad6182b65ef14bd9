/* Threads: create, join, mutexes, condition variables, thread-local storage, a barrier, robust ends. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static int turn;
static long sum;
static __thread int own;

static void *work(void *argument)
{
    long number = (long)argument;
    own = (int)number;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        sum += number;
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    while (turn != number)
        pthread_cond_wait(&turned, &lock);
    printf("thread %ld has its turn, own %d\n", number, own);
    fflush(stdout);
    turn++;
    pthread_cond_broadcast(&turned);
    pthread_mutex_unlock(&lock);
    return (void *)(number * 10);
}

int main(void)
{
    enum { COUNT = 6 };
    pthread_t threads[COUNT];
    void *results[COUNT];
    pthread_barrier_init(&barrier, NULL, COUNT);
    for (long i = 0; i < COUNT; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i))
            return 1;
    for (int i = 0; i < COUNT; i++) {
        pthread_join(threads[i], &results[i]);
    }
    for (int i = 0; i < COUNT; i++)
        printf("joined %d: %ld\n", i, (long)results[i]);
    printf("sum %ld\n", sum);
    return 0;
}
