# needs: /bin/busybox
b=/bin/busybox
$b sh -c 'for i in 1 2 3; do echo $i; done | sort -r | sed -n 1,2p'
$b seq 100 | $b awk '{s+=$1} END {print s}'; $b ls / | $b grep -c usr; $b vi --help 2>&1 | $b sed -n 1p | $b wc -l
$b tar cf t.tar -C /etc passwd; $b tar tf t.tar; $b md5sum /etc/passwd | $b cut -c1-8; $b httpd -f -p 127.0.0.1:23108 -h "$WORK" & server=$!
sleep 0.5; $b wget -q -O - http://127.0.0.1:23108/t.tar | $b wc -c; kill $server
$b ps >/dev/null; $b free >/dev/null; $b df . >/dev/null; $b date -u -d @0
