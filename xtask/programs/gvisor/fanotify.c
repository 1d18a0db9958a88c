// Watches a folder without privileges.
#include <sys/fanotify.h>
#include <stdio.h>
#include <fcntl.h>
#include <unistd.h>
int main(void) {
  int f = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME, 0);
  if (f < 0) { perror("fanotify_init"); return 1; }
  if (fanotify_mark(f, FAN_MARK_ADD, FAN_CREATE | FAN_ONDIR, AT_FDCWD, ".")) { perror("fanotify_mark"); return 1; }
  close(creat("new", 0600));
  char buffer[4096];
  printf("%d\n", read(f, buffer, sizeof buffer) > 0);
}
