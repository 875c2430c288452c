//! Memory that people and guests take and give back, now this much and now that.

use rand_chacha::ChaCha8Rng;

use super::chance::{around, arrivals, between, happens, log_between, waiting};
use super::scene::Scene;
use super::{HOUR, KIB, MIB, MINUTE};
use crate::case::Case;

/// What was written and is deleted after a while.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from_secs: f64,
    grow_secs: f64,
    end_secs: f64,
    bytes: f64,
}

impl Piece {
    fn held(&self, now_secs: f64) -> f64 {
        match now_secs < self.end_secs {
            true => self.bytes * ((now_secs - self.from_secs) / self.grow_secs).clamp(0.0, 1.0),
            false => 0.0,
        }
    }
}

/// Shared memory files that are written and deleted.
pub fn temporary_files(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let lives_secs = log_between(rng, MINUTE, 40.0 * MINUTE);
    let every_secs = lives_secs / log_between(rng, 0.3, 20.0);
    let usual = log_between(rng, 256.0 * KIB, 64.0 * MIB);
    let mut pieces = Vec::new();
    // As it is after a long time, unless it starts only now.
    let mut at_secs = scene.start_secs
        - if scene.start_secs > 0.0 {
            0.0
        } else {
            5.0 * lives_secs
        };
    while at_secs < scene.clock.length_secs {
        at_secs += waiting(rng, every_secs);
        let grow_secs = log_between(rng, 0.5, 4.0 * MINUTE);
        let end_secs = at_secs + grow_secs + waiting(rng, lives_secs);
        let bytes = around(rng, usual, 2.5).min(20.0 * usual);
        pieces.push(Piece {
            from_secs: at_secs,
            grow_secs,
            end_secs,
            bytes,
        });
    }
    scene.healthy(rng, |_, tick| {
        scene.base + held(&mut pieces, tick.running_secs)
    })
}

/// A guest whose memory is set now here, now there, at once or slowly.
pub fn balloon(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let most = scene.base * log_between(rng, 1.5, 4.0);
    let mut from = scene.base;
    let mut to = scene.base;
    let (mut at_secs, mut ramp_secs, mut until_secs) =
        (0.0, 1.0, scene.start_secs + waiting(rng, HOUR));
    let hold_secs = log_between(rng, 4.0 * MINUTE, 50.0 * MINUTE);
    scene.healthy(rng, |rng, tick| {
        if tick.running_secs > until_secs {
            from = to;
            to = between(rng, scene.base, most);
            at_secs = tick.running_secs;
            let slowly = happens(rng, 0.6);
            ramp_secs = if slowly {
                log_between(rng, MINUTE, 30.0 * MINUTE)
            } else {
                2.0
            };
            until_secs = at_secs + ramp_secs + waiting(rng, hold_secs);
        }
        from + (to - from) * ((tick.running_secs - at_secs) / ramp_secs).clamp(0.0, 1.0)
    })
}

/// Tabs that are opened, kept for a while and closed; then nobody is there.
pub fn browser(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let usual = log_between(rng, 8.0 * MIB, 120.0 * MIB);
    let kept_secs = log_between(rng, 4.0 * MINUTE, 40.0 * MINUTE);
    let opened_secs = log_between(rng, 20.0, 8.0 * MINUTE);
    let mut tabs: Vec<Piece> = Vec::new();
    let mut is_used = happens(rng, 0.6);
    let mut until_secs = scene.start_secs + waiting(rng, HOUR);
    scene.healthy(rng, |rng, tick| {
        let now_secs = tick.running_secs;
        if now_secs > until_secs {
            is_used = !is_used;
            let longest_secs = if is_used { 2.0 * HOUR } else { 4.0 * HOUR };
            until_secs = now_secs + log_between(rng, 8.0 * MINUTE, longest_secs);
            // Who goes closes most of them, and what is left is put to sleep later.
            tabs.retain(|_| is_used || happens(rng, 0.4));
        }
        if is_used {
            for _ in 0..arrivals(rng, tick.elapsed_secs / opened_secs) as u32 {
                let grow_secs = log_between(rng, 1.0, MINUTE);
                let end_secs =
                    now_secs + grow_secs + around(rng, kept_secs, 2.5).min(3.0 * kept_secs);
                let bytes = around(rng, usual, 2.0).min(8.0 * usual);
                tabs.push(Piece {
                    from_secs: now_secs - 0.5,
                    grow_secs,
                    end_secs,
                    bytes,
                });
            }
        }
        scene.base + held(&mut tabs, now_secs)
    })
}

/// What pieces hold together; forgets those that are over.
fn held(pieces: &mut Vec<Piece>, now_secs: f64) -> f64 {
    pieces.retain(|piece| piece.end_secs > now_secs);
    pieces.iter().map(|piece| piece.held(now_secs)).sum()
}
