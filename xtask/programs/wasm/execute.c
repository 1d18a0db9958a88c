// Becomes another program.
#include <unistd.h>
int main(void) { return execl("/bin/true", "true", (char *)0); }
