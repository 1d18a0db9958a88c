# needs: mkfifo
mkfifo p; (seq 3 > p) & cat p; wait
