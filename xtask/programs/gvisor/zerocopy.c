// Sends without a copy, and waits to be told when.
#include <sys/socket.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
  int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), one = 1; struct sockaddr_in a = {AF_INET, 0, {htonl(0x7f000001)}}; socklen_t n = sizeof a;
  bind(l, (void *)&a, n); listen(l, 1); getsockname(l, (void *)&a, &n); connect(c, (void *)&a, n); int s = accept(l, 0, 0);
  if (setsockopt(c, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one)) { perror("SO_ZEROCOPY"); return 1; }
  static char text[65536]; if (send(c, text, sizeof text, MSG_ZEROCOPY) < 0) { perror("send"); return 1; }
  char got[65536]; recv(s, got, sizeof got, 0);
  struct pollfd p = {c, 0, 0}; poll(&p, 1, 3000); char control[200]; struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(c, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) { perror("MSG_ERRQUEUE"); return 1; }
  puts("told");
}
