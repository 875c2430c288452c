/* SPDX-License-Identifier: MIT */
/*
 * Touches memory past the C library's allocator: WAY MIB
 *
 * Says "ready", waits for a line, touches MIB mebibytes in touch_more and an eighth of that in
 * touch_less, each page once, says "done" and keeps it until its input ends. It takes its time,
 * but for the way again. WAY is
 *   maps      by mappings of its own, in the one thread
 *   threads   the same, half in a thread that there was before, half in one that starts then
 *   reads     as maps, but it is the kernel that touches, in a system call of touch_more
 *   returns   as maps, and what touch_less has touched is given back
 *   again     as returns, but it is touched and given back time and again
 *   file      as maps, but touch_less reads the pages of a file
 *   shared    as maps, but shared memory
 *   huge      as maps, but touch_more gets huge pages
 *   fork      as maps, and a child does the same with memory of its own
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define HUGE_PAGE (2UL << 20)

static size_t bytes;
static const char *way;
static int is_go;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER;

static int is_way(const char *name)
{
	return !strcmp(way, name);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *map(size_t n_bytes, int flags, int fd)
{
	char *pages = (char *)syscall(SYS_mmap, NULL, n_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (pages == MAP_FAILED)
		fail("mmap");
	return pages;
}

static char *map_memory(size_t n_bytes)
{
	return map(n_bytes, (is_way("shared") ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1);
}

__attribute__((noinline)) void touch_more(volatile char *pages, size_t n_bytes, int from)
{
	for (size_t at = 0; at < n_bytes; at += PAGE) {
		if (from < 0)
			pages[at] = 1;
		else if (read(from, (char *)pages + at, 1) != 1)
			fail("read");
		if (at / PAGE % 64 == 63 && !is_way("again"))
			usleep(1000);
	}
}

__attribute__((noinline)) char touch_less(volatile char *pages, size_t n_bytes, int is_read)
{
	char sum = 0;

	for (size_t at = 0; at < n_bytes; at += PAGE) {
		if (is_read)
			sum += pages[at];
		else
			pages[at] = 1;
	}
	return sum;
}

static void more(size_t n_bytes)
{
	int from = is_way("reads") ? open("/dev/zero", O_RDONLY) : -1;
	char *pages = map_memory(n_bytes + HUGE_PAGE);

	if (is_way("huge")) {
		pages += -(unsigned long)pages % HUGE_PAGE;
		if (madvise(pages, n_bytes, MADV_HUGEPAGE))
			fail("madvise");
	}
	touch_more(pages, n_bytes, from);
}

static char less(size_t n_bytes)
{
	int is_file = is_way("file"), fd = -1;
	char *pages, sum = 0;

	if (is_file) {
		fd = open("toucher.pages", O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || unlink("toucher.pages") || ftruncate(fd, n_bytes))
			fail("toucher.pages");
		pages = map(n_bytes, MAP_SHARED, fd);
	} else {
		pages = map_memory(n_bytes);
	}
	for (int i = is_way("again") ? 20 : 1; i > 0; i--) {
		sum += touch_less(pages, n_bytes, is_file);
		if ((is_way("returns") || is_way("again")) && madvise(pages, n_bytes, MADV_DONTNEED))
			fail("madvise");
	}
	return sum;
}

static void *early(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	while (!is_go)
		pthread_cond_wait(&go, &lock);
	pthread_mutex_unlock(&lock);
	more(bytes / 2);
	return NULL;
}

static void *late(void *unused)
{
	(void)unused;
	more(bytes / 2);
	return NULL;
}

static void work(void)
{
	pthread_t thread;

	if (!is_way("threads")) {
		more(bytes);
	} else {
		if (pthread_create(&thread, NULL, late, NULL) || pthread_join(thread, NULL))
			exit(1);
	}
	less(bytes / 8);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[16];
	pid_t child;

	if (argc < 3)
		return 2;
	way = argv[1];
	bytes = strtoul(argv[2], NULL, 10) << 20;
	if (is_way("threads") && pthread_create(&thread, NULL, early, NULL))
		return 1;
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	if (is_way("threads")) {
		pthread_mutex_lock(&lock);
		is_go = 1;
		pthread_cond_signal(&go);
		pthread_mutex_unlock(&lock);
		pthread_join(thread, NULL);
	}
	work();
	if (is_way("fork")) {
		child = fork();
		if (!child) {
			work();
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	puts("done");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	return 0;
}
