/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef MEMLEAKD_SCAN_H
#define MEMLEAKD_SCAN_H

/* One process, as the scan writes it and user space reads it. */
struct scan_record {
	__u32 pid; /* of the process (tgid), in the reader's pid namespace */
	__u32 parent_pid; /* 0: none, or outside that namespace */
	__u32 uid; /* effective */
	__u32 reserved;
	__u64 start_time_ns; /* since boot, suspended time included */
	__u64 cgroup_id; /* in the cgroup v2 hierarchy */
	__u64 anon_pages;
	__u64 swap_pages;
	__u64 shmem_pages;
	__u64 file_pages;
	__u64 total_vm_pages;
	char comm[16]; /* the first thread's name, NUL-terminated */
};

#endif
