/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Who touches memory for the first time, in one process: for growth that no
 * allocator of the heap has asked for.
 *
 * The program runs at each minor fault once the kernel has handled it. Major
 * ones, which have read from a file or from swap, are no growth. What else is
 * none is known at the end only, and user space sorts it out by the process's
 * page table: pages of files, and those that have been given back since. So
 * each sampled page is remembered with its last touch, by which a page that was
 * given back and touched again is counted once.
 *
 * Pages are sampled by a hash of their addresses, so that all touches of a page
 * are taken or none. Faults on pages that are there also come as touches: the
 * first write to what was only read, or is shared since a fork, and hints of
 * NUMA balancing. They take the place of the touch before.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "stack.h"
#include "fault.h"

#define MM_ANONPAGES 1 /* include/linux/mm_types_task.h */

#define NSEC_PER_TICK 10000000

#define MAX_PAGES (32 << 10)
#define RING_BYTES (4 << 20)

/* A stack is copied by pieces, as it may end anywhere. */
#define PIECE_BYTES 4096
#define N_PIECES (STACK_BYTES_MAX / PIECE_BYTES)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PAGES);
	__type(key, __u64);
	__type(value, struct fault_page);
} pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fault_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fault_totals);
} totals SEC(".maps");

/* The address space that the process had at the first fault: exec gives it another one. */
void *address_space = 0;
/* Its anonymous pages at the last fault. */
__s64 anon_pages = 0;

/* What the program had in its registers. */
struct place {
	__u64 ip, sp, fp, lr;
};

/* A return address that is in a register: memset and its like put it nowhere else. */
#if defined(__TARGET_ARCH_arm64)
#define LINK(registers) PT_REGS_RET(registers)
#else
#define LINK(registers) 0
#endif

/* Spreads addresses evenly (the finalizer of MurmurHash3). */
static __always_inline __u64 spread(__u64 address)
{
	address ^= address >> 33;
	address *= 0xff51afd7ed558ccdULL;
	address ^= address >> 33;
	address *= 0xc4ceb9fe1a85ec53ULL;
	return address ^ address >> 33;
}

/* Children inherit the event on some kernels, and it outlives an exec. */
static __always_inline bool is_of_process(struct task_struct *task, struct mm_struct *mm,
					  struct fault_control *told)
{
	if (!address_space) {
		if (BPF_CORE_READ(task, group_leader, start_boottime) / NSEC_PER_TICK !=
		    told->start_time_ticks)
			return false;
		address_space = mm;
	}
	return mm == address_space;
}

/* Without what the CPUs have not yet folded in, see scan.bpf.c. */
static __always_inline __s64 anon_pages_of(struct mm_struct *mm)
{
	__s64 pages = 0;

	if (bpf_core_type_exists(struct mm_rss_stat))
		bpf_core_read(&pages, sizeof(pages),
			      &((struct mm_struct___atomic *)mm)->rss_stat.count[MM_ANONPAGES].counter);
	else
		bpf_core_read(&pages, sizeof(pages), &mm->rss_stat[MM_ANONPAGES].count);
	return pages;
}

/*
 * What the fault has mapped. No fault says it, but a huge page is as many pages
 * more at once, and the kernel counts such a number without delay; user space
 * does not ask where a CPU may hold back as many. If two threads fault at
 * the same time one may be taken for the other, and a huge page that comes
 * right after as much has been given back is taken for a small one.
 */
static __always_inline __u64 mapped_bytes(struct mm_struct *mm, struct fault_control *told)
{
	__s64 now, gained;

	if (!told->huge_bytes)
		return told->page_bytes;
	now = anon_pages_of(mm);
	gained = now - anon_pages;
	anon_pages = now;
	/* At the first fault it is all that there was. */
	if (gained == now || gained < (__s64)(told->huge_bytes / told->page_bytes))
		return told->page_bytes;
	return told->huge_bytes;
}

static __always_inline bool is_of_kernel(__u64 address)
{
	return (__s64)address < 0;
}

/* Where the program was: in the system call's registers if it is the kernel that touches. */
static __always_inline bool find_place(struct bpf_perf_event_data *ctx, struct place *place)
{
	struct pt_regs *regs;

	place->ip = PT_REGS_IP(&ctx->regs);
	if (!is_of_kernel(place->ip)) {
		place->sp = PT_REGS_SP(&ctx->regs);
		place->fp = PT_REGS_FP(&ctx->regs);
		place->lr = LINK(&ctx->regs);
		return true;
	}
	if (!bpf_core_enum_value_exists(enum bpf_func_id___later, BPF_FUNC_task_pt_regs___later))
		return false;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
#if defined(__TARGET_ARCH_arm64)
	struct user_pt_regs copy;
#else
	struct pt_regs copy;
#endif
	if (bpf_probe_read_kernel(&copy, sizeof(copy), regs))
		return false;
	place->ip = PT_REGS_IP(&copy);
	place->sp = PT_REGS_SP(&copy);
	place->fp = PT_REGS_FP(&copy);
	place->lr = LINK(&copy);
	return place->ip && !is_of_kernel(place->ip);
}

/* By whole pages, of which the last may be none of the stack's. At least three of them fit. */
static __always_inline __u32 copy_stack(struct stack_sample *sample, __u64 sp)
{
	__u64 bytes = PIECE_BYTES - (sp & (PIECE_BYTES - 1));

	if (bpf_probe_read_user(sample->stack, bytes, (void *)sp))
		return 0;
	for (int i = 1; i < N_PIECES; i++) {
		if (bytes > STACK_BYTES_MAX - PIECE_BYTES ||
		    bpf_probe_read_user(sample->stack + bytes, PIECE_BYTES, (void *)(sp + bytes)))
			break;
		bytes += PIECE_BYTES;
	}
	return bytes;
}

SEC("perf_event")
int touched(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct stack_sample *sample;
	struct fault_control *told;
	struct fault_totals *counted;
	struct fault_page page = {};
	struct place place;
	__u64 address, bytes, one_in;
	__u32 zero = 0;

	told = bpf_map_lookup_elem(&control, &zero);
	counted = bpf_map_lookup_elem(&totals, &zero);
	if (!told || !counted || !mm || !is_of_process(task, mm, told))
		return 0;
	counted->events++;
	bytes = mapped_bytes(mm, told);
	address = ctx->addr & ~(bytes - 1);
	one_in = told->sampling_bytes / bytes;
	if (one_in > 1 && spread(address ^ told->salt) & (one_in - 1))
		return 0;
	if (!find_place(ctx, &place)) {
		counted->no_registers++;
		return 0;
	}
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample) {
		counted->ring_full++;
		return 0;
	}
	page.time_ns = bpf_ktime_get_ns();
	page.id = FAULT_ID | (__u64)bpf_get_smp_processor_id() << 48 |
		  (page.time_ns & ((1ULL << 48) - 1));
	if (bpf_map_update_elem(&pages, &address, &page, BPF_ANY)) {
		counted->table_full++;
		bpf_ringbuf_discard(sample, 0);
		return 0;
	}
	counted->sampled++;
	sample->id = page.id;
	sample->time_ns = page.time_ns;
	sample->bytes = bytes;
	sample->sampling_bytes = told->sampling_bytes;
	sample->ip = place.ip;
	sample->sp = place.sp;
	sample->fp = place.fp;
	sample->lr = place.lr;
	sample->kind = STACK_FAULT;
	sample->stack_bytes = copy_stack(sample, place.sp);
	bpf_ringbuf_submit(sample, 0);
	return 0;
}

/* bpf_probe_read_user is for GPL-compatible programs. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";
