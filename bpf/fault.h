/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef MEMLEAKD_FAULT_H
#define MEMLEAKD_FAULT_H

/* The highest bit of a fault's id. */
#define FAULT_ID (1ULL << 63)

/* What user space tells the program. */
struct fault_control {
	__u64 start_time_ticks; /* of the process */
	__u64 sampling_bytes; /* one byte in so many is sampled: a power of two, a page at least */
	__u64 page_bytes;
	__u64 huge_bytes; /* of a huge page, 0: not told from others */
	__u64 salt; /* so that each time other pages are taken */
};

/* Counted on each CPU. */
struct fault_totals {
	__u64 events; /* faults */
	__u64 sampled;
	__u64 ring_full; /* samples that found no room */
	__u64 table_full;
	__u64 no_registers; /* and those of whose caller nothing is known */
};

/* A page that was touched and sampled, by its address: the last touch counts. */
struct fault_page {
	__u64 id;
	__u64 time_ns;
};

#endif
