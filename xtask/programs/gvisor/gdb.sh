# needs: gdb cc
printf 'int f(int n) { return n * 2; }\nint main(void) { return f(21) - 42; }\n' > a.c; cc -g -O0 a.c -o a
gdb -q -nx -batch -ex 'set print address off' -ex 'break f' -ex run -ex bt -ex 'print n' -ex finish -ex continue ./a 2>/dev/null | grep -E '^(\$|#)'
