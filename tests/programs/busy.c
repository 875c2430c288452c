/* SPDX-License-Identifier: MIT */
/*
 * Allocates and frees as fast as it can, and leaks at a rate by the clock: so many bytes a
 * second, 0 by default. Answers each line of standard input with
 * "pairs NUMBER leaked BYTES cpu NANOSECONDS".
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static volatile long n_pairs, leaked;
static double rate;

static void *allocate_and_free(void *unused)
{
	for (;;) {
		void *volatile pointer = malloc(100);

		free(pointer);
		n_pairs++;
	}
	return unused;
}

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void *leak(void *unused)
{
	double began = now(CLOCK_MONOTONIC);

	for (;;) {
		while (leaked < rate * (now(CLOCK_MONOTONIC) - began))
			leaked += malloc_usable_size(malloc(1000));
		usleep(1000);
	}
	return unused;
}

int main(int argc, char **argv)
{
	static char input[4096], output[4096], line[256];
	pthread_t thread;

	rate = argc > 1 ? atof(argv[1]) : 0;
	setvbuf(stdin, input, _IOFBF, sizeof(input));
	setvbuf(stdout, output, _IOLBF, sizeof(output));
	if (pthread_create(&thread, NULL, allocate_and_free, NULL))
		return 1;
	if (rate > 0 && pthread_create(&thread, NULL, leak, NULL))
		return 1;
	puts("ready");
	while (fgets(line, sizeof(line), stdin))
		printf("pairs %ld leaked %ld cpu %.0f\n", n_pairs, leaked,
		       now(CLOCK_PROCESS_CPUTIME_ID) * 1e9);
	return 0;
}
