// Answers a call of another process.
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ioctl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
static int fd;
static void *serve(void *x) {
  struct seccomp_notif n = {0}; struct seccomp_notif_resp r = {0};
  ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n); r.id = n.id; r.val = 42; ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r); return 0;
}
int main(void) {
  struct sock_filter f[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)}, {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getppid}, {BPF_RET, 0, 0, SECCOMP_RET_USER_NOTIF}, {BPF_RET, 0, 0, SECCOMP_RET_ALLOW}};
  struct sock_fprog p = {4, f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &p);
  if (fd < 0) { perror("seccomp"); return 1; }
  pthread_t t; pthread_create(&t, 0, serve, 0); printf("%ld\n", syscall(SYS_getppid)); pthread_join(t, 0);
}
