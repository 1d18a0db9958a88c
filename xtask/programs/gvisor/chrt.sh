# needs: chrt
chrt --batch 0 echo quietly; chrt -i 0 echo idle
