# needs: haproxy curl /usr/bin/python3
up() { for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done; echo "nothing listens on $1" >&2; exit 1; }
mkdir www; echo behind > www/f; /usr/bin/python3 -m http.server 23114 --bind 127.0.0.1 --directory www >/dev/null 2>&1 & origin=$!
cat > conf <<END
global
  maxconn 100
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:23115
  default_backend b
backend b
  server s 127.0.0.1:23114 check
END
haproxy -c -f conf >/dev/null 2>&1; haproxy -f conf -db >/dev/null 2>&1 & proxy=$!
up 23114; up 23115; curl -sf --retry 20 --retry-delay 1 http://127.0.0.1:23115/f; kill $proxy $origin
