# needs: numactl
numactl --interleave=all echo spread; numactl --show | sed -n 1,1p
