// Takes random bytes, and formats numbers.
#include <math.h>
#include <stdio.h>
#include <unistd.h>
int main(void) { char b[16]; printf("%d %.6f\n", getentropy(b, 16), sqrt(2)); return 0; }
