# needs: stress-ng
stress-ng --quiet --cpu 1 --cpu-ops 50 --vm 1 --vm-bytes 16M --vm-ops 20 --pipe 1 --pipe-ops 500 --fork 1 --fork-ops 50 --mmap 1 --mmap-ops 5 --temp-path "$WORK" --timeout 20; echo done
