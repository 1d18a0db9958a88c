#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
int main(void) {
  int s = socket(AF_VSOCK, SOCK_STREAM, 0);
  struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_port = VMADDR_PORT_ANY, .svm_cid = VMADDR_CID_ANY};
  if (s < 0 || bind(s, (void *)&a, sizeof a) || listen(s, 1)) { perror("vsock"); return 1; }
  puts("listens");
}
