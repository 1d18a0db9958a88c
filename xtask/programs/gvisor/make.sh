# needs: make cc
for n in $(seq 12); do echo "int f$n(void) { return $n; }" > f$n.c; done
printf 'int main(void) { return 0; }\n' > main.c
printf 'objects := $(patsubst %%.c,%%.o,$(wildcard *.c))\nall: $(objects)\n\tcc -o all $^\n%%.o: %%.c\n\tcc -c -o $@ $<\n' > Makefile
make -j4 -s all; ./all; touch f3.c; make -j2 | sort
