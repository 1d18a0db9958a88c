# needs: tcpdump unshare ping
unshare -Urn sh -c 'ip link set lo up; (sleep 1; ping -c 2 127.0.0.1 >/dev/null) & tcpdump -i lo -c 1 -n icmp 2>/dev/null | wc -l'
