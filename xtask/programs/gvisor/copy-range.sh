# needs: /usr/bin/python3
# probe
/usr/bin/python3 - <<'END'
import os
open("a", "wb").write(b"x" * 100000)
with open("a", "rb") as a, open("b", "wb") as b: print(os.copy_file_range(a.fileno(), b.fileno(), 100000))
END
