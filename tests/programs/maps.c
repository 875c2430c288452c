/* SPDX-License-Identifier: MIT */
/* Maps whole files as code, says where, a line each, and waits for the end of standard input. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char c;

	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY);
		struct stat status;
		void *memory;

		if (fd < 0 || fstat(fd, &status))
			return 1;
		memory = mmap(NULL, status.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
		if (memory == MAP_FAILED)
			return 1;
		printf("%lx\n", (unsigned long)memory);
		close(fd);
	}
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
