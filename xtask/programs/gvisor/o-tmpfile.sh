# needs: /usr/bin/python3
/usr/bin/python3 - <<'END'
import os
f = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600); os.write(f, b"abc"); os.link(f"/proc/self/fd/{f}", "named", follow_symlinks=True); print(open("named").read())
END
