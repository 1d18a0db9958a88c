#include <sys/mman.h>
#include <stdio.h>
int main(void) {
  int k = pkey_alloc(0, 0); if (k < 0) { perror("pkey_alloc"); return 1; }
  void *p = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); if (pkey_mprotect(p, 4096, 3, k)) return 2; puts("guarded");
}
