# needs: lsattr
touch f; lsattr f | cut -d" " -f2; chattr +d f; lsattr f | cut -c1-16
