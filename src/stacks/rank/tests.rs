use super::*;

fn stack(addresses: &[u64]) -> Stack {
    Stack {
        places: addresses
            .iter()
            .map(|address| Place::of_file(0, *address))
            .collect(),
        cut: None,
    }
}

fn sample(id: u64, kind: Kind, bytes: u64, sampling_bytes: u64) -> StackSample<'static> {
    StackSample {
        id,
        time_ns: id * 1_000_000_000,
        bytes,
        sampling_bytes,
        ip: 0,
        sp: 0,
        fp: 0,
        lr: 0,
        kind,
        stack: &[],
    }
}

fn standing(id: u64, age_secs: u64) -> Standing {
    Standing {
        id,
        age_ns: age_secs * 1_000_000_000,
        bytes: 0,
    }
}

/// Outermost address, attribution, bytes and blocks of what is ranked.
fn told(ranking: &Ranking) -> Vec<(u64, Attribution, u64, u64)> {
    let tell = |tally: &&Tally| {
        let place = ranking
            .place(tally.stack[tally.stack.len() - 1])
            .expect("a place");
        let (bytes, blocks) = (tally.bytes().round(), tally.blocks().round());
        (
            place.address,
            tally.attribution,
            bytes as u64,
            blocks as u64,
        )
    };
    ranking.ranked().iter().map(tell).collect()
}

#[test]
fn a_slow_leak_comes_before_what_a_busy_place_has_in_flight() {
    let mut ranking = Ranking::default();
    for id in 0..1000 {
        // Of those in flight at the end, all are young.
        ranking.sample(&sample(id, Kind::Heap, 1 << 20, 1 << 16), &stack(&[1, 2]));
    }
    ranking.sample(&sample(1000, Kind::Heap, 64, 1 << 16), &stack(&[1, 3]));
    let in_flight = (900..1000).map(|id| standing(id, 1));
    let standing: Vec<_> = in_flight.chain([standing(1000, 8)]).collect();
    ranking.window(10.0, &standing, &[]);
    let paired = Attribution::Paired;
    let expected = [(3, paired, 1 << 16, 1024), (2, paired, 100 << 20, 100)];
    assert_eq!(told(&ranking), expected);
    let ranked = ranking.ranked();
    assert_eq!(ranked[0].median_age_secs(), Some(8.0));
    assert_eq!(ranked[1].median_age_secs(), Some(1.0));
    let mib = f64::from(1 << 20);
    assert_eq!(
        ranked[1].allocated_and_freed_bytes(),
        (1000.0 * mib, 900.0 * mib)
    );
    assert_eq!(ranking.secs(), 10.0);
    assert_eq!(ranking.loss(), Vec::<String>::new());
}

#[test]
fn windows_add_up_and_numbers_are_of_one() {
    let mut ranking = Ranking::default();
    for secs in [1.0, 2.0] {
        ranking.sample(&sample(7, Kind::Mapping, 4096, 1), &stack(&[1]));
        ranking.window(secs, &[standing(7, 0)], &[]);
    }
    ranking.window(f64::NAN, &[standing(7, 0), standing(8, 0)], &[]);
    assert_eq!(told(&ranking), [(1, Attribution::Mapping, 8192, 2)]);
    assert_eq!(ranking.secs(), 3.0);
    assert_eq!(ranking.loss(), ["stacks of 2 sampled blocks that stand"]);
}

#[test]
fn what_a_size_has_grown_is_shared_by_those_that_allocate_it() {
    let mut ranking = Ranking::default();
    for (id, bytes, address) in [
        (1, 30, 10),
        (2, 30, 11),
        (3, 32, 10),
        (4, 500, 12),
        (5, 33, 13),
    ] {
        ranking.sample(&sample(id, Kind::Size, bytes, 1000), &stack(&[address]));
    }
    let class = |from_bytes, to_bytes, net_bytes| Class {
        from_bytes,
        to_bytes,
        net_bytes,
    };
    let classes = [
        class(25, 32, 3000),
        class(33, 48, -100),
        class(400, 600, 0),
        class(1000, 2000, 77),
    ];
    ranking.window(10.0, &[], &classes);
    // Each sample is of 1000 bytes by its weight.
    let by_size = Attribution::BySize;
    assert_eq!(
        told(&ranking),
        [(10, by_size, 2000, 65), (11, by_size, 1000, 33)]
    );
    assert_eq!(ranking.ranked()[0].median_age_secs(), None);
    let lost = "growth of 77 bytes in sizes of which no allocation was sampled";
    assert_eq!(ranking.loss(), [lost]);
}

#[test]
fn a_block_that_changes_its_size_counts_as_it_is() {
    // One byte in a thousand: a block of 100 stands for ten.
    for (holds_bytes, bytes) in [(0, 1000), (100, 1000), (400, 1300), (5000, 5900), (10, 100)] {
        let mut ranking = Ranking::default();
        ranking.sample(&sample(1, Kind::Heap, 100, 1000), &stack(&[1]));
        let standing = Standing {
            bytes: holds_bytes,
            ..standing(1, 9)
        };
        ranking.window(10.0, &[standing], &[]);
        assert_eq!(told(&ranking), [(1, Attribution::Paired, bytes, 10)]);
    }
}

#[test]
fn what_was_freed_is_not_told() {
    let mut ranking = Ranking::default();
    ranking.sample(&sample(1, Kind::Heap, 100, 1), &stack(&[1]));
    ranking.window(1.0, &[], &[]);
    assert_eq!(told(&ranking), []);
}

#[test]
fn stacks_beyond_so_many_are_told_as_a_whole() {
    let mut ranking = Ranking::of_at_most(1000);
    let path = |last: u64| stack(&(0..20).chain([last]).collect::<Vec<_>>());
    for id in 0..3000 {
        ranking.sample(&sample(id, Kind::Heap, 8, 8), &path(1000 + id));
    }
    let standing: Vec<_> = (0..3000).map(|id| standing(id, id)).collect();
    ranking.window(3000.0, &standing, &[]);
    assert_eq!(told(&ranking).len(), 1000);
    let expected = [
        "stacks of 2000 sampled blocks that stand",
        "16000 bytes allocated at stacks beyond the first 1000",
    ];
    assert_eq!(ranking.loss(), expected);
    assert_eq!(ranking.places.len(), 1020);
}
