/* SPDX-License-Identifier: MIT */
/*
 * Holds memory: ANON_MIB of its own and SHARED_MIB that it could share. With a third argument the
 * first thread ends and another one stays. Says "ready" when it holds everything.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void hold(size_t mib, int flags)
{
	size_t length = mib << 20;
	void *memory;

	if (!length)
		return;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		exit(1);
	memset(memory, 1, length);
}

static void *stay(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 3)
		return 2;
	hold(atoi(argv[1]), MAP_PRIVATE);
	hold(atoi(argv[2]), MAP_SHARED);
	if (pthread_create(&thread, NULL, stay, NULL))
		return 1;
	puts("ready");
	fflush(stdout);
	if (argc > 3)
		pthread_exit(NULL);
	stay(NULL);
}
