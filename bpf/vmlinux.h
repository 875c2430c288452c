/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The few kernel types that the BPF programs touch. Each is relocated against
 * the running kernel's BTF when it is loaded (CO-RE), so that only the names of
 * members matter here, neither their order nor what else the kernel has.
 * A suffix ___name marks one of several shapes that a type had over time.
 */
#ifndef MEMLEAKD_VMLINUX_H
#define MEMLEAKD_VMLINUX_H

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

/* Spelling that bpf_helper_defs.h uses for byte-ordered values. */
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

/* Only named in helper prototypes. */
enum bpf_map_type {
	BPF_MAP_TYPE_UNSPEC = 0,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	long long counter;
} atomic64_t;

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
	struct pid *pids[PIDTYPE_MAX];
};

struct task_struct {
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

#pragma clang attribute pop

#endif
