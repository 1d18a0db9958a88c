# needs: numactl
numactl --interleave=all echo spread; numactl --show | head -n 1
