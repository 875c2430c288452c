/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* How processes are numbered for user space. */
#ifndef MEMLEAKD_PID_H
#define MEMLEAKD_PID_H

/* Depth of the current task's pid namespace: 0 on the host, more in a container. */
static __always_inline __u32 current_pid_level(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_pid, level);
}

/*
 * The process's pid as the namespace at that depth numbers it, 0 if it lives
 * outside. Wherever that is not the host's it reads by helper, so that the
 * leader may be any pointer.
 */
static __always_inline __u32 visible_pid_below_host(struct task_struct *leader, __u32 level)
{
	struct pid *pid = BPF_CORE_READ(leader, signal, pids[PIDTYPE_TGID]);
	const char *numbers;
	int nr = 0;

	if (!pid || BPF_CORE_READ(pid, level) < level)
		return 0;
	numbers = (const char *)__builtin_preserve_access_index(&pid->numbers);
	bpf_core_read(&nr, sizeof(nr),
		      &((const struct upid *)(numbers + level *
					      bpf_core_type_size(struct upid)))->nr);
	barrier_var(nr); /* or clang joins this load with that of a tgid */
	return nr;
}

#endif
