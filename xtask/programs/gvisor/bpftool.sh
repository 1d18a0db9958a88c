# needs: bpftool
bpftool prog list >/dev/null; bpftool feature probe kernel | head -n 1
