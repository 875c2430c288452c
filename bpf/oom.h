/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef MEMLEAKD_OOM_H
#define MEMLEAKD_OOM_H

/* Who was killed, as the table has it and user space asks for it. */
struct oom_victim {
	__u64 start_time_ns; /* as the scan gives it; 0: the kernel did not say */
	__u32 pid; /* of the process (tgid), in the reader's pid namespace */
	__u32 reserved;
};

#endif
