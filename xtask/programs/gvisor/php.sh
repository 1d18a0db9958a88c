# needs: php curl
up() { for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done; echo "nothing listens on $1" >&2; exit 1; }
echo '<?php echo md5($_GET["q"]), "\n"; file_put_contents("f", serialize([1,2])); print_r(unserialize(file_get_contents("f"))); session_save_path("."); $p = proc_open(["echo", "x"], [1 => ["pipe", "w"]], $pipes); echo stream_get_contents($pipes[1]);' > i.php
php -S 127.0.0.1:23111 i.php >/dev/null 2>&1 & server=$!
up 23111
curl -s 'http://127.0.0.1:23111/?q=a'; php -r 'echo array_sum(range(1, 100)), PHP_EOL;'; kill $server
