# needs: nginx curl
up() { for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done; echo "nothing listens on $1" >&2; exit 1; }
mkdir -p www logs
echo content > www/index.html
head -c 300000 /dev/zero > www/big
cat > nginx.conf <<END
pid $WORK/nginx.pid;
error_log stderr warn;
worker_processes 2;
events { worker_connections 64; }
http {
  access_log $WORK/logs/access;
  client_body_temp_path $WORK/t1; proxy_temp_path $WORK/t2; fastcgi_temp_path $WORK/t3; uwsgi_temp_path $WORK/t4; scgi_temp_path $WORK/t5;
  sendfile on; aio threads;
  server { listen 127.0.0.1:23102; root $WORK/www; location /p/ { proxy_pass http://127.0.0.1:23102/; } }
}
END
nginx -t -c "$WORK/nginx.conf" -p "$WORK" 2>/dev/null || sed -i 's/aio threads;//' nginx.conf
nginx -c "$WORK/nginx.conf" -p "$WORK" 2>/dev/null
up 23102
curl -s http://127.0.0.1:23102/
curl -s http://127.0.0.1:23102/p/
curl -s http://127.0.0.1:23102/big | wc -c
nginx -c "$WORK/nginx.conf" -p "$WORK" -s reload 2>/dev/null
sleep 0.5
curl -s http://127.0.0.1:23102/
nginx -c "$WORK/nginx.conf" -p "$WORK" -s quit 2>/dev/null
for _ in $(seq 100); do test -e nginx.pid || break; sleep 0.1; done
grep -c GET logs/access
