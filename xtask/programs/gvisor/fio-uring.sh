# needs: fio
fio --name=a --directory="$WORK" --size=2M --bs=4k --rw=randrw --ioengine=io_uring --iodepth=8 --output=out; grep -c 'err= 0' out
