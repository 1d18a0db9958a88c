// Starts a thread.
#include <pthread.h>
#include <stdio.h>
static void *work(void *x) { return (void *)7; }
int main(void) { pthread_t t; void *r; if (pthread_create(&t, 0, work, 0)) { puts("no thread"); return 1; } pthread_join(t, &r); printf("%ld\n", (long)r); return 0; }
