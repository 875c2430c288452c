/* SPDX-License-Identifier: MIT */
/*
 * Loads the library that its first argument names, which leaks 1 KiB a step, and is loud and clean
 * beside it. Each line of standard input says what happens next: "unload" (and the leak ends),
 * "fork" (the child goes on as the parent does), "exec" (starts anew, from the beginning).
 */
#include <dlfcn.h>
#include <poll.h>

#include "loud.h"

typedef int leak_in_plugin(size_t bytes);

static void *plugin;
static leak_in_plugin *leak;

static void load(const char *path)
{
	plugin = dlopen(path, RTLD_NOW);
	leak = plugin ? (leak_in_plugin *)dlsym(plugin, "plugin_leak") : NULL;
	if (!leak)
		abort();
}

static void obey(const char *order, char **arguments)
{
	if (!strncmp(order, "unload", 6)) {
		leak = NULL;
		dlclose(plugin);
	} else if (!strncmp(order, "fork", 4)) {
		fork();
	} else if (!strncmp(order, "exec", 4)) {
		execv("/proc/self/exe", arguments);
		abort();
	}
}

int main(int argc, char **argv)
{
	static struct pages pages;
	struct pollfd input = { .fd = 0, .events = POLLIN };
	char line[64];

	if (argc < 2)
		return 2;
	load(argv[1]);
	say_ready();
	for (unsigned int step = 0;; step++) {
		if (poll(&input, 1, 0) > 0) {
			ssize_t length = read(0, line, sizeof(line) - 1);

			/* The parent has gone, or a child shares the input with it. */
			if (length <= 0)
				return 0;
			line[length] = 0;
			obey(line, argv);
		}
		if (leak)
			leak(1000 + step % 50);
		render_pages(&pages, 16);
		usleep(STEP_US);
	}
}
