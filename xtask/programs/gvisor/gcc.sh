# needs: gcc g++ objdump
cat > a.c <<'END'
#include <stdio.h>
#include <math.h>
int main(int n, char **v) { printf("%s %.3f\n", v[1], sqrt(2)); return 7; }
END
gcc -O2 -g -Wall -pipe a.c -o a -lm; ./a word || echo $?
echo '#include <iostream>
#include <vector>
int main() { std::vector<int> v(10, 3); std::cout << v.size() << "\n"; }' > b.cc
g++ -O1 -std=c++17 b.cc -o b; ./b; objdump -d a | grep -c call; strip a; size a | wc -l; ar rcs l.a a; nm -D b | wc -l
