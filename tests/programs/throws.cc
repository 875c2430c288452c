/* SPDX-License-Identifier: MIT */
/*
 * Asks for more than there is, and catches what is thrown. Answers each line of standard input, a
 * number of times to do it, with "caught NUMBER allocated BYTES": in itself for an even number, in
 * a child for an odd one. Allocated is what it has got by operator new and keeps.
 */
#include <cstdio>
#include <cstdlib>
#include <new>
#include <sys/wait.h>
#include <unistd.h>

static long caught, allocated;

static void ask_for_too_much(long times)
{
	for (long i = 0; i < times; i++) {
		try {
			char *volatile much = new char[1UL << 62];

			delete[] much;
		} catch (const std::bad_alloc &) {
			caught++;
		}
		char *volatile kept = new char[1000];
		char *volatile brief = new char[1000];

		allocated += kept ? 1000 : 0;
		delete[] brief;
	}
}

int main()
{
	char line[64];

	std::puts("ready");
	std::fflush(stdout);
	while (std::fgets(line, sizeof(line), stdin)) {
		long times = std::atol(line);

		caught = allocated = 0;
		if (times % 2) {
			pid_t child = fork();
			int status = 0;

			if (child == 0) {
				ask_for_too_much(times);
				_exit(caught == times ? 0 : 1);
			}
			if (child < 0 || waitpid(child, &status, 0) != child || status)
				std::abort();
			caught = times;
		} else {
			ask_for_too_much(times);
		}
		std::printf("caught %ld allocated %ld\n", caught, allocated);
		std::fflush(stdout);
	}
}
