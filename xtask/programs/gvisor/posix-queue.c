#include <mqueue.h>
#include <stdio.h>
#include <fcntl.h>
#include <unistd.h>
int main(void) {
  char name[40]; sprintf(name, "/q%d", getpid());
  struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 64};
  mqd_t q = mq_open(name, O_CREAT | O_RDWR, 0600, &a);
  if (q == (mqd_t)-1) { perror("mq_open"); return 1; }
  char got[64] = {0};
  if (mq_send(q, "hello", 6, 1) || mq_receive(q, got, 64, 0) < 0) { perror("mq_send"); mq_unlink(name); return 1; }
  puts(got); mq_unlink(name);
}
