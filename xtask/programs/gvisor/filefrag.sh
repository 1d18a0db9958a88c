# needs: filefrag
head -c 100000 /dev/urandom > f; sync f; filefrag f | cut -d: -f1
