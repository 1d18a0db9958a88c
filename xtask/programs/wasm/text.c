// Reads a large file line by line.
#include <stdio.h>
#include <string.h>
int main(void) {
  FILE *f = fopen("lines", "w+"); if (!f) { perror("fopen"); return 1; }
  for (int i = 0; i < 100000; i++) fprintf(f, "line %d\n", i);
  rewind(f); char line[50]; long n = 0; while (fgets(line, 50, f)) n += strlen(line); printf("%ld\n", n); fclose(f); return remove("lines");
}
