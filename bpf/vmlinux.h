/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The few kernel types that the BPF programs touch. Each is relocated against
 * the running kernel's BTF when it is loaded (CO-RE), so that only the names of
 * members matter here, neither their order nor what else the kernel has.
 * A suffix ___name marks one of several shapes that a type had over time.
 */
/* The name by which bpf_tracing.h knows that registers go by the kernel's names. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef _Bool bool;

enum {
	false = 0,
	true = 1,
};

/* Spelling that bpf_helper_defs.h uses for byte-ordered values. */
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

/* include/uapi/linux/bpf.h, part of the kernel's ABI. */
enum bpf_map_type {
	BPF_MAP_TYPE_UNSPEC = 0,
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
};

/* Numbers of helpers that not every kernel has. */
enum bpf_func_id___later {
	BPF_FUNC_snprintf___later = 165, /* 5.13 */
	BPF_FUNC_task_pt_regs___later = 175, /* 5.15 */
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_RB_NO_WAKEUP = 1,
};

/* A probe's registers: part of the kernel's ABI, never relocated. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs;
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp, pc, pstate;
};
#endif

/* What a program on a perf event is given, part of that ABI as well. */
struct bpf_perf_event_data {
#if defined(__TARGET_ARCH_arm64)
	struct user_pt_regs regs;
#else
	struct pt_regs regs;
#endif
	__u64 sample_period;
	__u64 addr;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	long long counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

struct cred {
	kuid_t euid;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

/* Since 6.2 (commit f1a7941243c1): one per-CPU counter for each kind of page. */
struct percpu_counter {
	__s64 count;
};

struct mm_struct {
	struct percpu_counter rss_stat[4];
	unsigned long total_vm;
};

/* Up to 6.1: one atomic for each kind of page. */
struct mm_rss_stat {
	atomic64_t count[4];
};

struct mm_struct___atomic {
	struct mm_rss_stat rss_stat;
};

struct pid_namespace;

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

enum pid_type {
	PIDTYPE_PID,
	PIDTYPE_TGID,
	PIDTYPE_PGID,
	PIDTYPE_SID,
	PIDTYPE_MAX,
};

struct signal_struct {
	atomic_t live;
	struct pid *pids[PIDTYPE_MAX];
};

/* With preempt_count on arm64, powerpc and riscv; x86 keeps it elsewhere. */
struct thread_info {
	int preempt_count;
};

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	unsigned int flags;
	int pid;
	int tgid;
	struct mm_struct *mm;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct signal_struct *signal;
	__u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct css_set *cgroups;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

/* On x86: the system call's number, -1 in interrupts and exceptions. */
struct pt_regs___x86 {
	unsigned long orig_ax;
};

struct kmem_cache {
	unsigned int flags;
	unsigned int size;
	const char *name;
};

/* Since 6.9; before, the flag was 0x20000. */
enum _slab_flag_bits {
	_SLAB_RECLAIM_ACCOUNT = 15,
};

/* Shapes of the records of tracepoints, which tell the arguments that they have. */
struct trace_event_raw_kmalloc { /* since 6.1 */
	unsigned long call_site;
};

struct trace_event_raw_kmem_alloc { /* before */
	bool accounted; /* 6.0 */
};

struct trace_event_raw_percpu_alloc_percpu {
	unsigned long bytes_alloc; /* since 5.19 */
};

#pragma clang attribute pop

#endif
