# needs: lsns
lsns -n -o TYPE | sort -u | wc -l; nsenter --help >/dev/null; readlink /proc/self/ns/user | cut -d: -f1
