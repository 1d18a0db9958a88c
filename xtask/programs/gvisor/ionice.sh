# needs: ionice
ionice -c 3 nice -n 10 tar -cf t.tar -C /etc passwd; tar -tf t.tar
