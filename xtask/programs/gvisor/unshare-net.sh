# needs: unshare ip
unshare -Urn sh -c 'ip link set lo up; ip -o link | wc -l' 
