// Makes a file without a name, and names it when it is whole.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
  int f = open(".", O_TMPFILE | O_RDWR, 0600);
  if (f < 0) { perror("O_TMPFILE"); return 1; }
  char path[40]; sprintf(path, "/proc/self/fd/%d", f); write(f, "abc", 3);
  if (linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW)) { perror("linkat"); return 1; }
  puts("named");
}
