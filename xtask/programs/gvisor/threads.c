// Threads that wait in every way of the C library.
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
static pthread_mutex_t m; static pthread_cond_t c = PTHREAD_COND_INITIALIZER; static pthread_rwlock_t r = PTHREAD_RWLOCK_INITIALIZER; static pthread_barrier_t b; static sem_t s; static int n;
static void *work(void *x) { pthread_mutex_lock(&m); ++n; pthread_cond_broadcast(&c); pthread_mutex_unlock(&m); pthread_rwlock_rdlock(&r); pthread_rwlock_unlock(&r); sem_post(&s); pthread_barrier_wait(&b); return 0; }
int main(void) {
  pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT); pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST); pthread_mutex_init(&m, &a);
  pthread_barrier_init(&b, 0, 5); sem_init(&s, 0, 0); pthread_t t[4]; for (int i = 0; i < 4; i++) pthread_create(t + i, 0, work, 0);
  pthread_mutex_lock(&m); while (n < 4) pthread_cond_wait(&c, &m); pthread_mutex_unlock(&m); for (int i = 0; i < 4; i++) sem_wait(&s); pthread_barrier_wait(&b); for (int i = 0; i < 4; i++) pthread_join(t[i], 0); printf("%d\n", n);
}
