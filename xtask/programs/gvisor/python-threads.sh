# needs: /usr/bin/python3
/usr/bin/python3 - <<'END'
import concurrent.futures as f, queue, subprocess, threading, time, tempfile, os, pty
with f.ThreadPoolExecutor(8) as pool: print(sum(pool.map(lambda n: n * n, range(200))))
with f.ProcessPoolExecutor(2) as pool: print(list(pool.map(abs, [-1, -2])))
print(subprocess.run(["sh", "-c", "echo $0; exit 3", "arg"], capture_output=True).returncode)
event = threading.Event(); threading.Timer(0.05, event.set).start(); print(event.wait(5))
with tempfile.TemporaryFile() as t: t.write(b"abc"); t.seek(0); print(t.read())
master, slave = pty.openpty(); os.write(slave, b"tty\n"); print(os.read(master, 10))
END
