// Writes, reads, lists and removes files.
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void) {
  if (mkdir("d", 0700)) { perror("mkdir"); return 1; }
  FILE *f = fopen("d/one", "w"); if (!f) { perror("fopen"); return 1; }
  fprintf(f, "%d lines\n", 1); fclose(f);
  rename("d/one", "d/two"); char text[20] = {0}; f = fopen("d/two", "r"); fgets(text, 20, f); fclose(f); fputs(text, stdout);
  DIR *d = opendir("d"); int n = 0; for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.'; closedir(d);
  struct stat s; stat("d/two", &s); printf("%d %d\n", n, (int)s.st_size); return unlink("d/two") || rmdir("d");
}
