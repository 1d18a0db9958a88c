// Writes to a file through memory that is shared with it.
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
  int f = open("mapped", O_RDWR | O_CREAT, 0600); ftruncate(f, 4096);
  char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0); if (p == MAP_FAILED) { perror("mmap"); return 1; }
  p[0] = 'x'; msync(p, 4096, MS_SYNC); char c; pread(f, &c, 1, 0); printf("%c\n", c); return unlink("mapped");
}
