/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Depth 1: reads the memory counters of every process, without a probe.
 *
 * A BPF task iterator (Linux 5.8) runs this program once for each task while
 * user space reads the iterator's file; what it writes is what the read gives.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "pid.h"
#include "scan.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

/* Indices of the counters, include/linux/mm_types_task.h. */
enum { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES };

/* Makes the record's type appear in the object, and so in the skeleton. */
const struct scan_record unused_scan_record = {};

/* Depth of the reader's pid namespace: 0 on the host, more in a container. */
__u32 reader_pid_level = 0;

/*
 * A counter without what the CPUs have not yet folded in (from 6.2 on), which
 * is why user space confirms a suspect before it says anything. Folding may
 * leave the shared part below zero.
 *
 * Old kernels get a helper call, as 5.10's verifier knows no array of typedefs.
 * A macro, because CO-RE relocates an index only where the compiler's front end
 * sees a constant; otherwise elements would have the size that they have here.
 */
#define counter_pages(mm, index) ({						\
	__s64 pages_;								\
										\
	if (bpf_core_type_exists(struct mm_rss_stat))				\
		bpf_core_read(&pages_, sizeof(pages_),				\
			      &((struct mm_struct___atomic *)(mm))->rss_stat.count[index].counter); \
	else									\
		pages_ = (mm)->rss_stat[index].count;				\
	pages_ > 0 ? (__u64)pages_ : 0;						\
})

/* The process's pid as the reader's pid namespace numbers it. */
static __u32 visible_pid(struct task_struct *leader)
{
	if (reader_pid_level == 0)
		return leader->tgid;
	return visible_pid_below_host(leader, reader_pid_level);
}

SEC("iter/task")
int scan(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *leader;
	struct scan_record record = {};
	struct mm_struct *mm;

	if (!task)
		return 0;
	if (ctx->meta->seq_num == 0)
		reader_pid_level = current_pid_level();
	if (task->flags & PF_KTHREAD)
		return 0;
	leader = task->group_leader;
	/* A leader that has ended before its threads leaves the memory with them. */
	if (task != leader && leader->mm)
		return 0;
	mm = task->mm;
	if (!mm)
		return 0;
	record.pid = visible_pid(leader);
	if (!record.pid)
		return 0;
	record.parent_pid = visible_pid(leader->real_parent);
	record.uid = leader->cred->euid.val;
	record.start_time_ns = leader->start_boottime;
	record.cgroup_id = leader->cgroups->dfl_cgrp->kn->id;
	record.anon_pages = counter_pages(mm, MM_ANONPAGES);
	record.swap_pages = counter_pages(mm, MM_SWAPENTS);
	record.shmem_pages = counter_pages(mm, MM_SHMEMPAGES);
	record.file_pages = counter_pages(mm, MM_FILEPAGES);
	record.total_vm_pages = mm->total_vm;
	__builtin_memcpy(record.comm, leader->comm, sizeof(record.comm));
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
