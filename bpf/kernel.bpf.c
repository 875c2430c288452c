/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Depth 2, kernel space: what each process has had the kernel allocate for it,
 * less what has been freed of that, by whomever.
 *
 * What counts is unreclaimable: objects of slab caches, large kmallocs and
 * per-CPU memory. Inodes, dentries and others that the kernel takes back when
 * it is short (SReclaimable in /proc/meminfo) do not count, or whoever reads
 * many files would leak, nor does what goes with them: the security modules'
 * notes on an inode, and the lists that the slab allocator makes for each page
 * (where kallsyms shows in which function). Nor do pages that come straight from the page
 * allocator: page tables, the data in pipes, stacks of threads.
 *
 * Objects are sampled by address: one is tracked if a hash of its address has
 * so many low bits clear, on both sides alike, and weighs as much as those
 * that are not. It keeps the weight that it had when it was allocated.
 *
 * A free is not seen if
 * - it comes in bulk (kfree_rcu, most of what the network stack frees by the
 *   dozen): these paths have no tracepoint;
 * - an interrupt frees while this CPU is in the same program (the kernel skips
 *   it and counts recursion_misses).
 * Its object stays in the table until the address is given out again, which
 * tells that it had been freed. So what is missed is bounded by what its cache
 * holds at most; it delays, but it does not add up.
 * Up to 5.15 kmem_cache_free speaks after the free: if another CPU gets the
 * address in between, the free is taken for that of the new object.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "pid.h"
#include "kernel.h"

#define PF_EXITING 0x00000004 /* include/linux/sched.h */
#define PF_KTHREAD 0x00200000

#define GFP_RECLAIMABLE 0x10 /* include/linux/gfp_types.h */
#define GFP_DIRECT_RECLAIM 0x400

#define IN_SOFTIRQ 0x00000100 /* include/linux/preempt.h */
#define IN_HARDIRQ_OR_NMI 0x00ff0000

#define X86_STACK_BYTES 16384 /* THREAD_SIZE */

#define MAX_OBJECTS (128 << 10)
#define MAX_OWNERS (8 << 10)
#define MAX_STACKS (8 << 10)
#define MAX_WANTED 8

#define E2BIG 7
#define EEXIST 17

/*
 * Untyped: before 6.2 or so the verifier takes no typed tracepoint that has a
 * const void *.
 */
typedef __u64 tracepoint_args;

/* Makes the records' types appear in the object, and so in the skeleton. */
const struct kernel_owner_key unused_owner_key = {};
const struct kernel_owner unused_owner = {};
const struct kernel_object unused_object = {};
const struct kernel_counters unused_counters = {};

/*
 * All tables are allocated beforehand: a program that runs inside the allocator
 * must not call it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_OBJECTS);
	__type(key, __u64);
	__type(value, struct kernel_object);
} objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_OWNERS);
	__type(key, struct kernel_owner_key);
	__type(value, struct kernel_owner);
} owners SEC(".maps");

/*
 * Stacks by number, each once. A number is a stack's hash: one whose place is
 * taken by another is not kept, as that may still be an object's. User space
 * removes those that are no object's.
 */
struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, MAX_STACKS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, KERNEL_FRAMES * sizeof(__u64));
} stacks SEC(".maps");

/* Whose stacks are kept, which costs several times as much as all else of an allocation. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_WANTED);
	__type(key, struct kernel_owner_key);
	__type(value, __u8);
} wanted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kernel_names);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kernel_counters);
} counters SEC(".maps");

struct kernel_control control = {};

#define count(member, by) ({						\
	__u32 zero_ = 0;						\
	struct kernel_counters *counters_ = bpf_map_lookup_elem(&counters, &zero_); \
									\
	if (counters_)							\
		__sync_fetch_and_add(&counters_->member, (by));		\
})

/* Spreads addresses evenly (the finalizer of MurmurHash3). */
static __always_inline bool is_sampled(__u64 address, __u32 shift)
{
	address ^= address >> 33;
	address *= 0xff51afd7ed558ccdULL;
	address ^= address >> 33;
	address *= 0xc4ceb9fe1a85ec53ULL;
	address ^= address >> 33;
	return !(address & ((1ULL << shift) - 1));
}

/*
 * Whether this is an interrupt, hard or soft, that has nothing to do with the
 * process that it interrupts. One may not wait, so who may is none.
 *
 * Most architectures count in thread_info. On x86 the count is a per-CPU
 * variable, out of reach where kallsyms lists no data, but an interrupt is
 * recognised by its stack: it has one of its own, except for one that comes in
 * user mode, and then the task's stack says that it is in no system call.
 */
static __always_inline bool in_interrupt(void *ctx, struct task_struct *task, __u64 gfp)
{
	__u64 stack, place = 0, orig_ax = 0;
	void *on_stack = ctx;

	if (gfp & GFP_DIRECT_RECLAIM)
		return false;
	if (bpf_core_field_exists(task->thread_info.preempt_count))
		return BPF_CORE_READ(task, thread_info.preempt_count) &
		       (IN_SOFTIRQ | IN_HARDIRQ_OR_NMI);
	if (!bpf_core_field_exists(((struct pt_regs___x86 *)0)->orig_ax))
		return true; /* it cannot be told: rather nobody's */

	stack = (__u64)BPF_CORE_READ(task, stack);
	/* The arguments lie on the stack in use. As a number the address comes by helper only. */
	bpf_probe_read_kernel(&place, sizeof(place), &on_stack);
	if (place - stack >= X86_STACK_BYTES)
		return true;
	if (bpf_core_enum_value_exists(enum bpf_func_id___later, BPF_FUNC_task_pt_regs___later))
		stack = bpf_task_pt_regs(bpf_get_current_task_btf());
	else
		stack += X86_STACK_BYTES - bpf_core_type_size(struct pt_regs___x86);
	bpf_core_read(&orig_ax, sizeof(orig_ax), &((struct pt_regs___x86 *)stack)->orig_ax);
	return (__s64)orig_ax == -1;
}

/* Removes an owner that has ended and of which nothing is left. */
static __always_inline void forget_if_empty(struct kernel_owner_key *key,
					    struct kernel_owner *owner)
{
	if (owner->ended && owner->objects <= 0)
		bpf_map_delete_elem(&owners, key);
}

/* An object that has left the table. The count of objects goes last: it keeps the owner. */
static __always_inline void credit(struct kernel_object *object)
{
	struct kernel_owner *owner;
	__u32 shift = object->shift;

	if (shift <= KERNEL_MAX_SHIFT)
		count(tracked[shift], -1);
	owner = bpf_map_lookup_elem(&owners, &object->owner);
	if (!owner)
		return;
	__sync_fetch_and_add(&owner->freed_bytes, object->bytes << shift);
	__sync_fetch_and_add(&owner->calls, 1ULL << shift);
	__sync_fetch_and_add(&owner->objects, -1);
	forget_if_empty(&object->owner, owner);
}

static __noinline int freed(__u64 address)
{
	struct kernel_object *found, object;

	if (!is_sampled(address, control.free_shift))
		return 0;
	found = bpf_map_lookup_elem(&objects, &address);
	if (!found)
		return 0;
	object = *found;
	if (bpf_map_delete_elem(&objects, &address)) {
		count(busy, 1);
		return 0;
	}
	count(events, 1ULL << (object.shift & 31));
	credit(&object);
	return 0;
}

/* An object at an address that is given out anew must have been freed. */
static __always_inline void freed_unseen(__u64 address)
{
	struct kernel_object *found, object;

	found = bpf_map_lookup_elem(&objects, &address);
	if (!found)
		return;
	object = *found;
	if (bpf_map_delete_elem(&objects, &address))
		return;
	count(reused, 1);
	credit(&object);
}

/* The process of this task, entered if it is new. */
static __always_inline struct kernel_owner *owner_of(struct task_struct *task,
						     struct kernel_owner_key *key)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct kernel_owner *owner, new = {};

	key->start_time_ns = BPF_CORE_READ(leader, start_boottime);
	key->tgid = bpf_get_current_pid_tgid() >> 32;
	owner = bpf_map_lookup_elem(&owners, key);
	if (owner)
		return owner;
	new.pid = control.reader_pid_level ?
		visible_pid_below_host(leader, control.reader_pid_level) : key->tgid;
	bpf_map_update_elem(&owners, key, &new, BPF_NOEXIST);
	return bpf_map_lookup_elem(&owners, key);
}

/*
 * Address has passed is_sampled. Of a cache that is reclaimable, gfp says so
 * too.
 */
static __noinline int allocated(void *ctx, __u64 address, __u64 call_site, __u64 bytes, __u64 gfp)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct kernel_object object = {};
	struct kernel_owner *owner;
	__u32 shift = control.alloc_shift;
	long error;

	if (address <= 16 || shift > KERNEL_MAX_SHIFT) /* none, or ZERO_SIZE_PTR */
		return 0;
	count(events, 1ULL << shift);
	/* What a process allocates while it ends it does not leak. */
	if (gfp & GFP_RECLAIMABLE ||
	    (call_site >= control.lists_start && call_site < control.lists_end) ||
	    BPF_CORE_READ(task, flags) & (PF_KTHREAD | PF_EXITING) ||
	    in_interrupt(ctx, task, gfp)) {
		freed_unseen(address);
		return 0;
	}
	owner = owner_of(task, &object.owner);
	if (!owner) {
		freed_unseen(address);
		count(owners_full, 1ULL << shift);
		return 0;
	}
	object.time_ns = bpf_ktime_get_ns();
	object.call_site = call_site;
	object.bytes = bytes;
	object.shift = shift;
	object.stack = -1;
	if (control.n_wanted && bpf_map_lookup_elem(&wanted, &object.owner))
		object.stack = bpf_get_stackid(ctx, &stacks, 0);
	__sync_fetch_and_add(&owner->objects, 1);
	error = bpf_map_update_elem(&objects, &address, &object, BPF_NOEXIST);
	if (error == -EEXIST) {
		freed_unseen(address);
		error = bpf_map_update_elem(&objects, &address, &object, BPF_NOEXIST);
	}
	if (error) {
		__sync_fetch_and_add(&owner->objects, -1);
		__sync_fetch_and_add(&owner->lost, 1ULL << shift);
		if (error == -E2BIG)
			count(objects_full, 1ULL << shift);
		else
			count(busy, 1);
		return 0;
	}
	__sync_fetch_and_add(&owner->allocated_bytes, bytes << shift);
	__sync_fetch_and_add(&owner->calls, 1ULL << shift);
	count(tracked[shift], 1);
	return 0;
}

/* What security modules note of an inode goes with it, though the cache does not say so. */
static __always_inline bool is_of_inodes(struct kmem_cache *cache)
{
	const char wanted[16] = "lsm_inode_cache";
	char name[16] = {};

	if (bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(cache, name)) != sizeof(name))
		return false;
	for (__u32 i = 0; i < sizeof(name); i++)
		if (name[i] != wanted[i])
			return false;
	return true;
}

/* GFP_RECLAIMABLE if that is what the cache's objects are. */
static __always_inline __u64 reclaimable(struct kmem_cache *cache)
{
	unsigned int flag = 0x20000;

	if (bpf_core_enum_value_exists(enum _slab_flag_bits, _SLAB_RECLAIM_ACCOUNT))
		flag = 1U << bpf_core_enum_value(enum _slab_flag_bits, _SLAB_RECLAIM_ACCOUNT);
	return BPF_CORE_READ(cache, flags) & flag || is_of_inodes(cache) ? GFP_RECLAIMABLE : 0;
}

/* 6.1: kmem_cache_alloc has arguments of its own, and the events for nodes are gone. */
static __always_inline bool has_own_arguments(void)
{
	return bpf_core_type_exists(struct trace_event_raw_kmalloc);
}

/* 6.0: the cache comes third, and the sizes move up. */
static __always_inline bool has_cache_third(void)
{
	return bpf_core_field_exists(((struct trace_event_raw_kmem_alloc *)0)->accounted);
}

/*
 * Arguments before 6.1: call_site, ptr, [cache,] bytes_req, bytes_alloc, gfp[, node].
 * Without the cache it cannot be told what is reclaimable, but for kmallocs.
 */
static __always_inline int allocated_before_6_1(tracepoint_args *ctx, bool is_kmalloc)
{
	__u64 gfp;

	if (has_cache_third()) {
		gfp = ctx[5];
		if (!is_kmalloc)
			gfp |= reclaimable((struct kmem_cache *)ctx[2]);
		return allocated(ctx, ctx[1], ctx[0], ctx[4], gfp);
	}
	return allocated(ctx, ctx[1], ctx[0], ctx[3], ctx[4]);
}

SEC("raw_tp/kmalloc")
int kmalloc(tracepoint_args *ctx)
{
	if (!is_sampled(ctx[1], control.alloc_shift))
		return 0;
	if (!has_own_arguments())
		return allocated_before_6_1(ctx, true);
	return allocated(ctx, ctx[1], ctx[0], ctx[3], ctx[4]);
}

SEC("raw_tp/kmem_cache_alloc")
int kmem_cache_alloc(tracepoint_args *ctx)
{
	struct kmem_cache *cache;

	if (!is_sampled(ctx[1], control.alloc_shift))
		return 0;
	if (!has_own_arguments())
		return allocated_before_6_1(ctx, false);
	cache = (struct kmem_cache *)ctx[2];
	return allocated(ctx, ctx[1], ctx[0], BPF_CORE_READ(cache, size), ctx[3] | reclaimable(cache));
}

SEC("raw_tp/kmalloc_node")
int kmalloc_node(tracepoint_args *ctx)
{
	if (!is_sampled(ctx[1], control.alloc_shift))
		return 0;
	return allocated_before_6_1(ctx, true);
}

SEC("raw_tp/kmem_cache_alloc_node")
int kmem_cache_alloc_node(tracepoint_args *ctx)
{
	if (!is_sampled(ctx[1], control.alloc_shift))
		return 0;
	return allocated_before_6_1(ctx, false);
}

/* A per-CPU allocation goes by its address on the first CPU, which no other memory has. */
SEC("raw_tp/percpu_alloc_percpu")
int percpu_alloc(tracepoint_args *ctx)
{
	struct trace_event_raw_percpu_alloc_percpu *record = 0;
	__u64 address;

	if (bpf_core_field_exists(record->bytes_alloc)) {
		address = ctx[5] + (__s32)ctx[6];
		if (!is_sampled(address, control.alloc_shift))
			return 0;
		return allocated(ctx, address, ctx[0], ctx[8], ctx[9] & ~GFP_RECLAIMABLE);
	}
	/* Before 5.19: no caller, and the size on one CPU. */
	address = ctx[4] + (__s32)ctx[5];
	if (!is_sampled(address, control.alloc_shift))
		return 0;
	return allocated(ctx, address, 0, ctx[2] * control.n_cpus,
			 ctx[1] ? 0 : GFP_DIRECT_RECLAIM);
}

SEC("raw_tp/percpu_free_percpu")
int percpu_free(tracepoint_args *ctx)
{
	return freed(ctx[0] + (__s32)ctx[1]);
}

SEC("raw_tp/kfree")
int kfree(tracepoint_args *ctx)
{
	return freed(ctx[1]);
}

SEC("raw_tp/kmem_cache_free")
int kmem_cache_free(tracepoint_args *ctx)
{
	return freed(ctx[1]);
}

/*
 * Frees without a tracepoint, where the kernel can hook functions. One that
 * waits for readers counts when it is asked for, as the memory is then given
 * up. Where it lies was said as its head's offset up to 6.1.
 * The arguments are read by helper, as before 6.13 or so the verifier takes no
 * pointers to pointers or functions among them.
 */
SEC("fentry/kvfree_call_rcu")
int kvfree_call_rcu(tracepoint_args *ctx)
{
	__u64 arguments[2]; /* head, address or offset */

	if (bpf_probe_read_kernel(arguments, sizeof(arguments), ctx))
		return 0;
	if (arguments[1] < 4096)
		arguments[1] = arguments[0] - arguments[1];
	return freed(arguments[1]);
}

/* Of more at once the rest is not seen; such lists are kfree_rcu's, seen above already. */
#define MAX_BULK 64

SEC("fentry/kmem_cache_free_bulk")
int kmem_cache_free_bulk(tracepoint_args *ctx)
{
	__u64 arguments[3], address; /* cache, length and list */

	if (bpf_probe_read_kernel(arguments, sizeof(arguments), ctx))
		return 0;
	for (__u32 i = 0; i < MAX_BULK && i < arguments[1]; i++)
		if (!bpf_probe_read_kernel(&address, sizeof(address),
					   (const __u64 *)arguments[2] + i))
			freed(address);
	return 0;
}

/* The owner of a process whose last thread ends stays until all is freed. */
SEC("tp_btf/sched_process_exit")
int process_exit(tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct kernel_owner_key key = {};
	struct kernel_owner *owner;

	if (task->signal->live.counter != 0)
		return 0;
	key.start_time_ns = task->group_leader->start_boottime;
	key.tgid = task->tgid;
	owner = bpf_map_lookup_elem(&owners, &key);
	if (!owner)
		return 0;
	owner->ended = 1;
	forget_if_empty(&key, owner);
	return 0;
}

/*
 * Names what is at addresses, run by user space: kallsyms shows them to
 * CAP_SYSLOG only, which is not needed here. Return addresses, so %pB.
 */
SEC("raw_tp")
int name_addresses(void *ctx __attribute__((unused)))
{
	static const char format[] = "%pB";
	struct kernel_names *asked;
	__u64 address;
	__u32 zero = 0;

	if (!bpf_core_enum_value_exists(enum bpf_func_id___later, BPF_FUNC_snprintf___later))
		return 0;
	asked = bpf_map_lookup_elem(&names, &zero);
	if (!asked)
		return 0;
	for (int i = 0; i < KERNEL_NAMES; i++) {
		address = asked->addresses[i];
		if (address)
			bpf_snprintf((char *)asked->names[i], KERNEL_NAME_BYTES, format, &address,
				     sizeof(address));
	}
	return 0;
}

/* User space has this run in its own name before the others are attached. */
SEC("raw_tp")
int observe_reader(void *ctx __attribute__((unused)))
{
	control.reader_pid_level = current_pid_level();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
