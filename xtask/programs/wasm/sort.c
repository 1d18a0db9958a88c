// Sorts a million numbers.
#include <stdio.h>
#include <stdlib.h>
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(void) {
  int n = 1000000, *all = malloc(n * sizeof *all); unsigned x = 1; for (int i = 0; i < n; i++) all[i] = (x = x * 1103515245 + 12345) >> 8;
  qsort(all, n, sizeof *all, compare); printf("%d %d\n", all[0], all[n - 1]); free(all); return 0;
}
