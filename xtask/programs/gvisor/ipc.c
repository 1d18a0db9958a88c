// Shared memory, semaphores and messages of System V; memory of another process; queues of events.
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/sem.h>
#include <sys/msg.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/epoll.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
  int m = shmget(IPC_PRIVATE, 4096, 0600), s = semget(IPC_PRIVATE, 1, 0600), q = msgget(IPC_PRIVATE, 0600);
  int *p = shmat(m, 0, 0); *p = 1;
  if (!fork()) { *p = 42; struct sembuf b = {0, 1, 0}; semop(s, &b, 1); struct { long t; char c[4]; } x = {1, "abc"}; msgsnd(q, &x, 4, 0); _exit(0); }
  struct sembuf b = {0, -1, 0}; semop(s, &b, 1); struct { long t; char c[4]; } x; msgrcv(q, &x, 4, 0, 0); wait(0); printf("%d %s\n", *p, x.c);
  shmctl(m, IPC_RMID, 0); semctl(s, 0, IPC_RMID); msgctl(q, IPC_RMID, 0);
  int value = 7, copy = 0; struct iovec l = {&copy, 4}, r = {&value, 4}; printf("%zd %d\n", process_vm_readv(getpid(), &l, 1, &r, 1, 0), copy);
  int e = epoll_create1(0), t = timerfd_create(CLOCK_MONOTONIC, 0), v = eventfd(3, 0); struct itimerspec i = {{0}, {0, 1000000}}; timerfd_settime(t, 0, &i, 0);
  struct epoll_event w = {EPOLLIN, {.fd = t}}; epoll_ctl(e, EPOLL_CTL_ADD, t, &w); printf("%d\n", epoll_wait(e, &w, 1, 2000)); long n; read(v, &n, 8); printf("%ld\n", n);
  sem_t *n1 = sem_open("/uc-compared", O_CREAT | 0100, 0600, 1); if (n1) { sem_wait(n1); sem_unlink("/uc-compared"); }
}
