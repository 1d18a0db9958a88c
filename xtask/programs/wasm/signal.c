// Sends a signal to itself and goes on.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static volatile int seen; static void note(int n) { seen = n; }
int main(void) { signal(SIGUSR1, note); kill(getpid(), SIGUSR1); printf("%d\n", seen); return 0; }
