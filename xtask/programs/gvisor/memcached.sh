# needs: memcached
up() { for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done; echo "nothing listens on $1" >&2; exit 1; }
memcached -l 127.0.0.1 -p 23110 -t 2 -U 0 & server=$!
up 23110
exec 3<>/dev/tcp/127.0.0.1/23110; printf 'set k 0 0 5\r\nhello\r\nget k\r\nquit\r\n' >&3; cat <&3; kill $server; wait $server || true
