# needs: ip unshare
unshare -Urn sh -c 'ip link add name dummy0 type dummy || ip link add name dummy0 type veth peer name other0; ip addr add 10.9.9.1/24 dev dummy0; ip link set dummy0 up; ip -o addr show dummy0 | grep -c 10.9.9.1'
