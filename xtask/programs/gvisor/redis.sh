# needs: redis-server redis-cli
up() { for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done; echo "nothing listens on $1" >&2; exit 1; }
redis-server --port 23101 --bind 127.0.0.1 --dir "$WORK" --appendonly yes --save '' >/dev/null &
up 23101
ask() { redis-cli -p 23101 "$@"; }
ask set greeting hello
ask get greeting
ask rpush list 1 2 3
ask lrange list 0 -1
ask eval 'return redis.call("incrby", KEYS[1], 5)' 1 counter
ask bgrewriteaof
ask save
ask config get maxmemory
ask shutdown nosave || true
wait
ls "$WORK" | grep -c appendonly
