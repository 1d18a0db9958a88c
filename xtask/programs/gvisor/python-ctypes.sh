# needs: /usr/bin/python3
/usr/bin/python3 - <<'END'
import ctypes, mmap, select, socket, resource, os, fcntl, time
c = ctypes.CDLL(None, use_errno=True)
print(c.abs(-5), c.strlen(b"four"))
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 5)(5, 3, 1, 4, 2)
c.qsort(numbers, 5, 4, compare(lambda a, b: a[0] - b[0])); print(list(numbers))
memory = mmap.mmap(-1, 8192); memory[:5] = b"hello"; memory.madvise(mmap.MADV_DONTNEED) if False else None; print(memory[:5])
a, b = socket.socketpair(); a.send(b"x"); print(len(select.select([b], [], [], 1)[0]))
poll = select.epoll(); poll.register(b, select.EPOLLIN); print(len(poll.poll(1)))
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); print(resource.getrlimit(resource.RLIMIT_NOFILE))
with open("lock", "w") as f: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB); print("locked")
print(os.sched_getaffinity(0) != set(), time.clock_gettime(time.CLOCK_BOOTTIME) > 0)
END
