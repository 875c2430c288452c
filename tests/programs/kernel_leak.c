/* SPDX-License-Identifier: MIT */
/*
 * Leaks kernel memory: KIND COUNT PAUSE_US [churn]
 *
 * Says "ready", waits for a line, makes COUNT things with a pause after each hundred, says
 * "done COUNT" and keeps them until its input ends. With "churn" each is undone before the next.
 * What the table of open files needs is there before it is ready.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 1000

/* What a queue holds by default. */
#define QUEUE_MESSAGES (16384 / MESSAGE_BYTES)

static int epoll, watched, *queues, n_queues, n_sent;
/* What the last call has made. */
static int fds[2];
static timer_t timer;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int make_pipe(void)
{
	return pipe(fds);
}

static int undo_pipe(void)
{
	return close(fds[0]) || close(fds[1]);
}

static int undo_fd(void)
{
	return close(fds[0]);
}

static int make_socket(void)
{
	return (fds[0] = socket(AF_INET, SOCK_DGRAM, 0));
}

static int make_tcp_socket(void)
{
	return (fds[0] = socket(AF_INET, SOCK_STREAM, 0));
}

static int make_eventfd(void)
{
	return (fds[0] = eventfd(0, 0));
}

static int make_timerfd(void)
{
	return (fds[0] = timerfd_create(CLOCK_MONOTONIC, 0));
}

static int make_epoll_entry(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	fds[0] = dup(watched);
	return fds[0] < 0 ? -1 : epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event);
}

static int undo_epoll_entry(void)
{
	return epoll_ctl(epoll, EPOLL_CTL_DEL, fds[0], NULL) || close(fds[0]);
}

static int make_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };

	return timer_create(CLOCK_MONOTONIC, &event, &timer);
}

static int undo_timer(void)
{
	return timer_delete(timer);
}

static struct {
	long type;
	char text[MESSAGE_BYTES];
} message = { .type = 1 };

static int send_message(void)
{
	return msgsnd(queues[n_sent++ / QUEUE_MESSAGES], &message, sizeof(message.text), IPC_NOWAIT);
}

static int receive_message(void)
{
	return msgrcv(queues[--n_sent / QUEUE_MESSAGES], &message, sizeof(message.text), 0, IPC_NOWAIT) < 0 ? -1 : 0;
}

static const struct {
	const char *name;
	int (*make)(void);
	int (*undo)(void);
	int n_fds;
} kinds[] = {
	{ "pipes", make_pipe, undo_pipe, 2 },
	{ "sockets", make_socket, undo_fd, 1 },
	{ "tcp-sockets", make_tcp_socket, undo_fd, 1 },
	{ "eventfds", make_eventfd, undo_fd, 1 },
	{ "timerfds", make_timerfd, undo_fd, 1 },
	{ "epoll-entries", make_epoll_entry, undo_epoll_entry, 1 },
	{ "timers", make_timer, undo_timer, 0 },
	{ "sysv-messages", send_message, receive_message, 0 },
};

/* In a namespace of its own, so that nothing of them outlives this process. */
static void make_queues(int n_messages)
{
	if (unshare(CLONE_NEWIPC))
		fail("unshare");
	n_queues = n_messages / QUEUE_MESSAGES + 1;
	queues = calloc(n_queues, sizeof(*queues));
	for (int i = 0; i < n_queues; i++)
		if ((queues[i] = msgget(IPC_PRIVATE, 0600)) < 0)
			fail("msgget");
}

static void make_room(int n_fds)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		fail("getrlimit");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		fail("setrlimit");
	/* The table of open files becomes as large as it will be. */
	if (dup2(0, n_fds + 32) < 0 || close(n_fds + 32))
		fail("dup2");
}

int main(int argc, char **argv)
{
	int count, pause_us, is_churn, i;
	size_t kind;
	char line[16];

	if (argc < 4)
		return 2;
	count = atoi(argv[2]);
	pause_us = atoi(argv[3]);
	is_churn = argc > 4;
	for (kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
		if (!strcmp(kinds[kind].name, argv[1]))
			break;
	if (kind == sizeof(kinds) / sizeof(kinds[0]))
		return 2;
	make_room(is_churn ? 100 : kinds[kind].n_fds * count);
	if (kinds[kind].make == send_message)
		make_queues(is_churn ? 1 : count);
	epoll = epoll_create1(0);
	watched = eventfd(0, 0);
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	for (i = 0; i < count; i++) {
		if (kinds[kind].make() < 0 || (is_churn && kinds[kind].undo()))
			fail(argv[1]);
		if (pause_us && i % 100 == 99)
			usleep(pause_us);
	}
	printf("done %d\n", count);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	return 0;
}
