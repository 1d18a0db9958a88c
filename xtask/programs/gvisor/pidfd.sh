# needs: /usr/bin/python3
# probe
/usr/bin/python3 - <<'END'
import os, select, signal
pid = os.fork()
if pid == 0: signal.pause()
fd = os.pidfd_open(pid); signal.pidfd_send_signal(fd, signal.SIGTERM); print(len(select.select([fd], [], [], 5)[0])); print(os.waitid(os.P_PIDFD, fd, os.WEXITED).si_status)
END
