/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Takes note of the processes that the kernel kills as memory runs out, of the
 * whole machine or of a cgroup. Costs nothing until it does. One that finds no
 * memory when it is ending already is marked as well.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "pid.h"
#include "oom.h"

#define MAX_PID (4 << 20) /* PID_MAX_LIMIT, include/linux/threads.h */
#define MAX_VICTIMS 1024

/* Depth of the reader's pid namespace: 0 on the host, more in a container. */
__u32 reader_pid_level = 0;

/* When each was marked, in ns since boot. The oldest give way. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_VICTIMS);
	__type(key, struct oom_victim);
	__type(value, __u64);
} victims SEC(".maps");

/*
 * The argument is the marked task on newer kernels (6.8, and older ones that
 * have taken that over); before, its number on the host, by which only the
 * current task can be looked up. Where it is another one, its start is not known.
 */
SEC("raw_tp/mark_victim")
int mark_victim(__u64 *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct oom_victim victim = {};
	__u64 now_ns = bpf_ktime_get_boot_ns(), marked = ctx[0];
	struct task_struct *leader;

	if (marked > MAX_PID)
		task = (void *)marked;
	else if (marked != (__u32)BPF_CORE_READ(task, pid))
		task = 0;

	if (task) {
		leader = BPF_CORE_READ(task, group_leader);
		victim.start_time_ns = BPF_CORE_READ(leader, start_boottime);
		victim.pid = reader_pid_level ? visible_pid_below_host(leader, reader_pid_level)
					      : (__u32)BPF_CORE_READ(leader, tgid);
	} else if (!reader_pid_level) {
		victim.pid = marked;
	}
	if (victim.pid)
		bpf_map_update_elem(&victims, &victim, &now_ns, BPF_ANY);
	return 0;
}

/* Run by the reader itself, before the other is attached. */
SEC("raw_tp")
int observe_reader(void *ctx __attribute__((unused)))
{
	reader_pid_level = current_pid_level();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
