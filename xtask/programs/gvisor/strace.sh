# needs: strace
strace -f -o log sh -c 'echo hi; ls / >/dev/null'; grep -c -E 'execve|exit_group' log; strace -c -o sum true; tail -n 1 sum | awk '{print $NF}' 
