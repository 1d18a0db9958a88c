// Shuts itself out of the file system, or stays out of use.
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
  struct landlock_ruleset_attr a = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE};
  int f = syscall(SYS_landlock_create_ruleset, &a, sizeof a, 0);
  if (f < 0) { perror("landlock_create_ruleset"); return 1; }
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (syscall(SYS_landlock_restrict_self, f, 0)) { perror("landlock_restrict_self"); return 1; }
  printf("%d\n", open("/etc/passwd", O_RDONLY));
}
