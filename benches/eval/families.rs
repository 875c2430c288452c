//! Synthetic cases: every kind of leak and of health that is worth telling apart, made from seeds.
//!
//! A case that nobody could tell is not made: what is healthy levels off, falls or comes again
//! within its recording, and what leaks rises out of its own noise. Nothing else is made easy.
//! Nothing but IEEE arithmetic is used, so that a seed gives the same case on every machine.

mod chance;
mod clock;
mod collecting;
mod crowds;
mod leaking;
mod leaking_hidden;
mod leaking_pieces;
mod leaking_units;
mod load;
mod look;
mod noise;
mod pieces;
mod scene;
mod stepping;
mod using;
mod warming;
mod working;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::case::Case;
pub use look::look;

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;

/// What a family may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The detector is tuned on it.
    Tuned,
    /// It is only reported on, and never looked at while tuning.
    HeldOut,
}

/// One kind of behaviour.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// What it is called in tables.
    pub name: &'static str,
    /// What it may be used for.
    pub part: Part,
    /// Makes a case; its family and seed are filled in by [`case`].
    pub make: fn(&mut ChaCha8Rng) -> Case,
}

/// All kinds: first those that leak, then the healthy. Parts have about equally hard ones of both.
pub fn families() -> &'static [Family] {
    const fn tuned(name: &'static str, make: fn(&mut ChaCha8Rng) -> Case) -> Family {
        let part = Part::Tuned;
        Family { name, part, make }
    }
    const fn held_out(name: &'static str, make: fn(&mut ChaCha8Rng) -> Case) -> Family {
        let part = Part::HeldOut;
        Family { name, part, make }
    }
    const {
        &[
            tuned("constant leak", leaking::constant),
            held_out("leak per request", leaking::per_request),
            tuned("leak by day load", leaking::by_day),
            held_out("leak under a collector", leaking_hidden::under_collector),
            tuned("leak after warm-up", leaking_hidden::after_warm_up),
            held_out("leak while in use", leaking::while_in_use),
            tuned("leak in small steps", leaking_pieces::in_small_steps),
            held_out("leak of mappings", leaking_pieces::of_mappings),
            tuned("leak of threads", leaking_pieces::of_threads),
            held_out("leak of shared memory", leaking_pieces::of_shared_memory),
            tuned("leak swapped out", leaking_hidden::swapped_out),
            held_out("leak of workers", leaking_units::of_workers),
            tuned("leak across restarts", leaking_units::across_restarts),
            held_out("leak in fragmentation", leaking_hidden::in_fragmentation),
            tuned("bounded cache", warming::bounded_cache),
            held_out("logarithmic warm-up", warming::logarithmic),
            tuned("exponential warm-up", warming::exponential),
            held_out("generational collector", collecting::generational),
            tuned("doubling collector", collecting::doubling),
            held_out("script collector", collecting::script),
            tuned("office day", working::office_day),
            held_out("day and night", working::day_and_night),
            tuned("nightly batch", working::nightly_batch),
            held_out("exiting batch", crowds::exiting_batch),
            tuned("arenas", stepping::arenas),
            held_out("fragmentation plateau", warming::fragmentation_plateau),
            tuned("mapped file", stepping::mapped_file),
            held_out("fork storm", crowds::fork_storm),
            tuned("temporary files", using::temporary_files),
            held_out("step on reload", stepping::reloads),
            tuned("balloon", using::balloon),
            held_out("browser", using::browser),
            tuned("load ramp", working::load_ramp),
            held_out("steady", stepping::steady),
        ]
    }
}

/// The case that a family makes from a seed, always the same.
pub fn case(family: &Family, seed: u64) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // By name, so that a case stays when other families come and go.
    rng.set_stream(
        family
            .name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            }),
    );
    Case {
        family: family.name,
        seed,
        ..(family.make)(&mut rng)
    }
}
