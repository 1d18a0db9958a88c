/* Process 1 of the guest of boots.rs: loads /modules/NN in order, mounts the disk, says what it sees, ends. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

static void load_modules(void)
{
	char path[64];
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof path, "/modules/%02d", i);
		int file = open(path, O_RDONLY);
		if (file < 0)
			return;
		if (syscall(SYS_finit_module, file, "", 0))
			printf("module %d: %m\n", i);
		close(file);
	}
}

static void look(const char *path)
{
	struct stat s;
	char value[64] = "", data[64] = "";
	if (lstat(path, &s)) {
		printf("%s: %m\n", path);
		return;
	}
	lgetxattr(path, "user.note", value, sizeof value - 1);
	if (S_ISREG(s.st_mode)) {
		int file = open(path, O_RDONLY);
		if (read(file, data, 16) < 0)
			printf("%s: %m\n", path);
		close(file);
	}
	printf("%s %o %u:%u %ld %lld %s %s\n", path, s.st_mode, s.st_uid, s.st_gid, (long)s.st_nlink,
	       S_ISDIR(s.st_mode) ? 0 : (long long)s.st_size, value, data);
}

int main(void)
{
	mkdir("/dev", 0755);
	mkdir("/disk", 0755);
	mkdir("/merged", 0755);
	mkdir("/rw", 0755);
	mount("dev", "/dev", "devtmpfs", 0, 0);
	int console = open("/dev/console", O_RDWR);
	dup2(console, 0);
	dup2(console, 1);
	dup2(console, 2);
	setvbuf(stdout, 0, _IOLBF, 0);
	load_modules();
	for (int i = 0; i < 200 && access("/dev/vda", F_OK); i++)
		usleep(10000);
	if (mount("/dev/vda", "/disk", "erofs", MS_RDONLY, 0))
		printf("erofs: %m\n");
	look("/disk");
	look("/disk/hello");
	look("/disk/sub/large");
	mount("rw", "/rw", "tmpfs", 0, 0);
	mkdir("/rw/upper", 0755);
	mkdir("/rw/work", 0755);
	if (mount("o", "/merged", "overlay", 0, "lowerdir=/disk,upperdir=/rw/upper,workdir=/rw/work"))
		printf("overlay: %m\n");
	int file = open("/merged/new", O_CREAT | O_WRONLY, 0644);
	if (write(file, "fresh", 5) != 5)
		printf("write: %m\n");
	close(file);
	look("/merged/new");
	look("/merged/hello");
	printf("the end\n");
	sync();
	tcdrain(1);
	reboot(RB_AUTOBOOT);
	return 0;
}
