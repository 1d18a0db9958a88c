# needs: dmesg
dmesg | wc -l | grep -qv "^0$"; echo read
