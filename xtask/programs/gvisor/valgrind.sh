# needs: valgrind
valgrind -q --error-exitcode=3 /bin/echo checked
