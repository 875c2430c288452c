/* SPDX-License-Identifier: MIT */
/*
 * Allows itself few system calls, those of a heap among them, and would be killed for another:
 * at once, or with the argument "late" when it is told to allocate for the first time. Makes
 * so many pairs of malloc and free as each line of standard input says, and answers "done".
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(number) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void confine(void)
{
	static struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_brk), ALLOW(SYS_mmap),
		ALLOW(SYS_munmap), ALLOW(SYS_mremap), ALLOW(SYS_mprotect), ALLOW(SYS_madvise),
		ALLOW(SYS_futex), ALLOW(SYS_getrandom), ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		abort();
}

static void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		abort();
}

int main(int argc, char **argv)
{
	static char line[256];
	int is_late = argc > 1;
	ssize_t length;

	(void)argv;
	if (!is_late)
		confine();
	say("ready\n");
	while ((length = read(0, line, sizeof(line) - 1)) > 0) {
		line[length] = 0;
		if (is_late)
			confine();
		is_late = 0;
		for (long i = atol(line); i > 0; i--) {
			void *volatile pointer = malloc(100 + i % 70000);

			free(pointer);
		}
		say("done\n");
	}
	return 0;
}
