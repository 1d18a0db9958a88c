# needs: bpftool
bpftool prog list >/dev/null; bpftool feature probe kernel | sed -n 1,1p
