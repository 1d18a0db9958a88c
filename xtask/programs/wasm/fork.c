// Starts a process.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) { int s; if (!fork()) _exit(3); wait(&s); printf("%d\n", WEXITSTATUS(s)); return 0; }
