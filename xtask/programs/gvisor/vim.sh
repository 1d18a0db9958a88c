# needs: vim
seq 20 > f; TERM=dumb vim -u NONE -N -es -c '%s/1/X/g' -c '5,10d' -c 'write! out' -c 'qall!' f </dev/null; cat out
