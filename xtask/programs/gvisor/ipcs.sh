# needs: ipcmk
id=$(ipcmk -M 4096 | awk "{print \$NF}"); ipcs -m | grep -c " $id "; ipcrm -m $id; q=$(ipcmk -Q | awk "{print \$NF}"); ipcrm -q $q; s=$(ipcmk -S 2 | awk "{print \$NF}"); ipcrm -s $s
