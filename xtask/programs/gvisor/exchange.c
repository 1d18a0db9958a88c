// Swaps two folders at once.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
int main(void) {
  mkdir("a", 0700); mkdir("b", 0700);
  if (renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE)) { perror("renameat2"); return 1; }
  puts("swapped");
}
