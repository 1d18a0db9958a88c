// Fills a page when it is touched.
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <pthread.h>
#include <stdio.h>
#include <fcntl.h>
#include <unistd.h>
static int fd; static char *page;
static void *serve(void *x) {
  struct uffd_msg m; read(fd, &m, sizeof m);
  static char full[4096] __attribute__((aligned(4096))); full[0] = 'x';
  struct uffdio_copy c = {.dst = (long)page, .src = (long)full, .len = 4096}; ioctl(fd, UFFDIO_COPY, &c); return 0;
}
int main(void) {
  fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
  if (fd < 0) { perror("userfaultfd"); return 1; }
  struct uffdio_api a = {.api = UFFD_API}; if (ioctl(fd, UFFDIO_API, &a)) return 2;
  page = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register r = {.range = {(long)page, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING}; if (ioctl(fd, UFFDIO_REGISTER, &r)) return 3;
  pthread_t t; pthread_create(&t, 0, serve, 0); printf("%c\n", page[0]); pthread_join(t, 0);
}
