# needs: mosquitto mosquitto_sub
up() { for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done; echo "nothing listens on $1" >&2; exit 1; }
mosquitto -p 23112 >/dev/null 2>&1 & server=$!
up 23112
mosquitto_sub -p 23112 -t a/b -C 2 > got & sub=$!
sleep 1; mosquitto_pub -p 23112 -t a/b -m one; mosquitto_pub -p 23112 -t a/b -m two; wait $sub; cat got; kill $server
