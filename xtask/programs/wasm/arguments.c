// Says its arguments and a variable of its environment.
#include <stdio.h>
#include <stdlib.h>
int main(int n, char **v) { printf("%d %s\n", n, getenv("NONE") ? "set" : "unset"); return 0; }
