# needs: modprobe
modprobe dummy
