# needs: /bin/busybox
b=/bin/busybox
$b sh -c 'for i in 1 2 3; do echo $i; done | sort -r | head -n 2'
$b seq 100 | $b awk '{s+=$1} END {print s}'; $b ls / | $b grep -c usr; $b vi --help 2>&1 | $b head -n 1 | $b wc -l
$b tar cf t.tar -C /etc passwd; $b tar tf t.tar; $b md5sum /etc/passwd | $b cut -c1-8; $b httpd -p 127.0.0.1:23108 -h "$WORK" ; sleep 0.3; $b wget -q -O - http://127.0.0.1:23108/t.tar | $b wc -c; $b kill $($b pidof busybox) 2>/dev/null || true
$b ps >/dev/null; $b free >/dev/null; $b df >/dev/null; $b date -u -d @0
