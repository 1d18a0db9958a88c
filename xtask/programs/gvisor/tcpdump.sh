# needs: tcpdump unshare ping
unshare -Urn sh -c 'ip link set lo up; (sleep 1; ping -c 2 127.0.0.1 >/dev/null) & exec tcpdump -Z root -i lo -c 1 -n icmp >/dev/null 2>&1'
