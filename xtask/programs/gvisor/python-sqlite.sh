# needs: /usr/bin/python3
/usr/bin/python3 - <<'END'
import sqlite3
base = sqlite3.connect("base.db")
base.execute("create table t(n integer, s text)")
with base: base.executemany("insert into t values(?, ?)", ((n, str(n)) for n in range(10000)))
print(base.execute("select count(*), sum(n) from t").fetchone())
copy = sqlite3.connect("copy.db"); base.backup(copy); print(copy.execute("select max(n) from t").fetchone())
END
