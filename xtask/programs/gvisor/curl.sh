# needs: curl /usr/bin/python3
up() { for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done; echo "nothing listens on $1" >&2; exit 1; }
mkdir www; seq 20000 > www/file
/usr/bin/python3 -m http.server 23105 --bind 127.0.0.1 --directory www >/dev/null 2>&1 &
server=$!
up 23105
curl -sS http://127.0.0.1:23105/file | md5sum
curl -sS -o copy --limit-rate 2M http://127.0.0.1:23105/file; md5sum copy
curl -sS -Z -o a -o b http://127.0.0.1:23105/file http://127.0.0.1:23105/file; md5sum a b
curl -s -o none -w '%{http_code}\n' http://localhost:23105/none
kill $server
