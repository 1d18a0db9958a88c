// Forbids itself a call, as browsers and servers do.
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
  struct sock_filter f[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)}, {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getppid}, {BPF_RET, 0, 0, SECCOMP_RET_ERRNO | ENOANO}, {BPF_RET, 0, 0, SECCOMP_RET_ALLOW}};
  struct sock_fprog p = {4, f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) { perror("seccomp"); return 1; }
  long got = syscall(SYS_getppid); printf("%ld %d\n", got, errno == ENOANO);
}
