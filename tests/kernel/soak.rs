//! Nothing is lost and nothing is doubled: the daemon is killed at random moments while alerts come
//! and go, and what it sends them to goes down and up.
//!
//! Which changes there were is not asked of the daemon: each that one sink had, all had, their
//! numbers have no gap, those of each alert make a story, and each program that leaked is told of.

mod cast;
mod ledger;
mod stand;

use std::env;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use cast::Cast;
use stand::Stand;

/// So many programs cross the threshold at once.
const BURST: usize = 200;
/// What has to come comes within this.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
#[ignore = "needs root and BTF"]
fn every_change_arrives_once_however_often_the_daemon_is_killed() {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    let n_kills = number("MEMLEAKD_SOAK_KILLS").unwrap_or(12);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = number("MEMLEAKD_SOAK_SEED").unwrap_or_else(|| now.expect("a time").as_secs());
    eprintln!("soak: {n_kills} kills, MEMLEAKD_SOAK_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut stand = Stand::start();
    let mut cast = Cast::default();
    cast.enter(8);
    for n in 0..n_kills {
        let until = Instant::now() + Duration::from_millis(random.random_range(200..6000));
        stand.disturb(&mut random);
        if n == n_kills / 2 {
            cast.enter(BURST);
        }
        if random.random_bool(0.5) {
            cast.enter(random.random_range(0..4));
            cast.leave(random.random_range(0..4));
        }
        if random.random_bool(0.6) {
            // The moments in which something is on its way are the ones that matter.
            stand.wait_for_a_change(until);
            std::thread::sleep(Duration::from_millis(random.random_range(0..30)));
        } else {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
        stand.kill();
    }
    stand.repair();
    let began = Instant::now();
    let names = cast.names_on_stage();
    while !stand.has_raised(&names) {
        assert!(
            began.elapsed() < PATIENCE,
            "seed {seed}: {}",
            stand.missing(&names)
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let listed = stand.listed();
    for name in &names {
        assert!(
            listed.contains(name),
            "seed {seed}: memleakctl alerts lacks {name}"
        );
    }
    cast.leave(usize::MAX);
    let ledger = stand.settle(PATIENCE);
    let faults = ledger.faults(n_kills, &cast.names());
    eprintln!("soak: {}", ledger.summary());
    assert!(faults.is_empty(), "seed {seed}:\n{}", faults.join("\n"));
}
