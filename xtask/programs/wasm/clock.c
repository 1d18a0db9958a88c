// Looks at clocks, and sleeps.
#include <stdio.h>
#include <time.h>
int main(void) {
  struct timespec a, b, t = {0, 20000000}; clock_gettime(CLOCK_MONOTONIC, &a); nanosleep(&t, 0); clock_gettime(CLOCK_MONOTONIC, &b);
  printf("%d %d\n", time(0) > 1700000000, (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec >= 20000000); return 0;
}
