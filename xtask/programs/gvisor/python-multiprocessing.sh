# needs: /usr/bin/python3
cat > pool.py <<'END'
import multiprocessing as m, os
def square(n): return n * n
def worker(queue, lock):
    with lock: queue.put(os.getpid() > 0)
if __name__ == "__main__":
    with m.Pool(4) as pool: print(sum(pool.map(square, range(1000))))
    for method in ("spawn", "forkserver"):
        with m.get_context(method).Pool(2) as pool: print(method, pool.map(square, range(5)))
    queue, lock = m.Queue(), m.Lock()
    workers = [m.Process(target=worker, args=(queue, lock)) for _ in range(4)]
    [w.start() for w in workers]; print([queue.get() for _ in workers]); [w.join() for w in workers]
    value = m.Value("i", 7); print(value.value)
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=100); memory.buf[0] = 5; print(memory.buf[0]); memory.close(); memory.unlink()
END
/usr/bin/python3 pool.py
