# needs: /usr/bin/python3
# probe
/usr/bin/python3 - <<'END'
import os
r, w = os.pipe(); open("a", "wb").write(b"x" * 5000)
with open("a", "rb") as a, open("b", "wb") as b: print(os.splice(a.fileno(), w, 5000), os.splice(r, b.fileno(), 5000)); print(os.sendfile(b.fileno(), a.fileno(), 0, 5000))
print(os.stat("b").st_size, os.memfd_create("m") > 0, os.getrandom(4) != b"")
END
