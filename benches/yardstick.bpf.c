/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The usual way to follow a heap, against which memleakd is measured: probes at the
 * first instruction of malloc and of free and at malloc's return, a table of sizes by
 * thread and one by pointer. Nothing else, so that no tool of this kind costs less.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} sizes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} objects SEC(".maps");

SEC("uprobe")
int enter_malloc(struct pt_regs *ctx)
{
	__u32 thread = bpf_get_current_pid_tgid();
	__u64 size = PT_REGS_PARM1(ctx);

	bpf_map_update_elem(&sizes, &thread, &size, BPF_ANY);
	return 0;
}

SEC("uretprobe")
int leave_malloc(struct pt_regs *ctx)
{
	__u32 thread = bpf_get_current_pid_tgid();
	__u64 pointer = PT_REGS_RC(ctx);
	__u64 *size = bpf_map_lookup_elem(&sizes, &thread);

	if (size && pointer)
		bpf_map_update_elem(&objects, &pointer, size, BPF_ANY);
	bpf_map_delete_elem(&sizes, &thread);
	return 0;
}

SEC("uprobe")
int enter_free(struct pt_regs *ctx)
{
	__u64 pointer = PT_REGS_PARM1(ctx);

	bpf_map_delete_elem(&objects, &pointer);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
