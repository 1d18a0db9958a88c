# needs: fio
fio --name=a --directory="$WORK" --size=2M --bs=4k --rw=randrw --ioengine=libaio --iodepth=8 --output=out; grep -c 'err= 0' out
