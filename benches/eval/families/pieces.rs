//! Memory that comes in pieces.

/// Collects what is allocated until it makes whole pieces.
#[derive(Debug, Clone)]
pub struct Pieces {
    piece_bytes: f64,
    pending_bytes: f64,
}

impl Pieces {
    /// Of one size, in bytes.
    pub fn of(piece_bytes: f64) -> Self {
        Self {
            piece_bytes,
            pending_bytes: 0.0,
        }
    }

    /// Adds some bytes, and returns the whole pieces that they fill.
    pub fn fill(&mut self, bytes: f64) -> f64 {
        self.pending_bytes += bytes;
        let whole_bytes = (self.pending_bytes / self.piece_bytes).floor() * self.piece_bytes;
        self.pending_bytes -= whole_bytes;
        whole_bytes
    }
}
