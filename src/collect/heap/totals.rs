//! What probes have counted. Pure.

/// What a slot's process has done since the programs were loaded, with the process before it in
/// that slot: only differences mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub allocated_bytes: u64,
    pub freed_bytes: u64,
    pub allocations: u64,
    pub frees: u64,
    pub mapped_bytes: u64,
    pub unmapped_bytes: u64,
    pub hits: u64,
    pub stepped_hits: u64,
    pub returns: u64,
    pub lost_full: u64,
    pub lost_unreadable: u64,
    pub unknown_frees: u64,
    pub sampled: u64,
    pub stacks: u64,
    pub lost_stacks: u64,
    pub lost_pairs: u64,
    pub unsampled: u64,
}

impl Totals {
    /// What has been counted since an earlier reading of the same slot.
    pub fn since(self, earlier: Self) -> Self {
        self.zip(earlier, u64::wrapping_sub)
    }

    /// Bytes allocated and not freed.
    pub fn net_bytes(self) -> i64 {
        self.allocated_bytes.wrapping_sub(self.freed_bytes) as i64
    }

    /// Bytes that the program itself has mapped and not unmapped.
    pub fn mapped_net_bytes(self) -> i64 {
        self.mapped_bytes.wrapping_sub(self.unmapped_bytes) as i64
    }

    /// Two readings, figure by figure.
    pub fn zip(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            allocated_bytes: with(self.allocated_bytes, other.allocated_bytes),
            freed_bytes: with(self.freed_bytes, other.freed_bytes),
            allocations: with(self.allocations, other.allocations),
            frees: with(self.frees, other.frees),
            mapped_bytes: with(self.mapped_bytes, other.mapped_bytes),
            unmapped_bytes: with(self.unmapped_bytes, other.unmapped_bytes),
            hits: with(self.hits, other.hits),
            stepped_hits: with(self.stepped_hits, other.stepped_hits),
            returns: with(self.returns, other.returns),
            lost_full: with(self.lost_full, other.lost_full),
            lost_unreadable: with(self.lost_unreadable, other.lost_unreadable),
            unknown_frees: with(self.unknown_frees, other.unknown_frees),
            sampled: with(self.sampled, other.sampled),
            stacks: with(self.stacks, other.stacks),
            lost_stacks: with(self.lost_stacks, other.lost_stacks),
            lost_pairs: with(self.lost_pairs, other.lost_pairs),
            unsampled: with(self.unsampled, other.unsampled),
        }
    }
}
