# needs: script
script -qec 'tty >/dev/null && stty size && echo in a terminal' /dev/null | tail -n 1 | tr -d '\r' 
