// Speaks to itself through a pipe.
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
int main(void) { int p[2]; if (pipe(p)) { perror("pipe"); return 1; } write(p[1], "x", 1); struct pollfd f = {p[0], POLLIN, 0}; printf("%d\n", poll(&f, 1, 100)); return 0; }
