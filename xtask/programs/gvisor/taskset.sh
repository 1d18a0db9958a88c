# needs: taskset
taskset -c 0 echo pinned; taskset -p $$ | wc -l
