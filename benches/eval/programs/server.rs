//! Answers a thousand requests a second, and keeps an answer of about 1 KiB of each: all of them,
//! or with an argument only the latest, of so many bytes together. Says once a second how many
//! bytes it keeps.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

fn some_size(random_state: &mut u32) -> usize {
    *random_state = random_state.wrapping_mul(1664525).wrapping_add(1013904223);
    256 + (*random_state >> 16) as usize % 1536
}

fn main() {
    let most = std::env::args().nth(1);
    let most: usize = most.map_or(usize::MAX, |most| most.parse().expect("a number of bytes"));
    let mut random_state = 1;
    let mut answers: HashMap<u64, Box<[u8]>> = HashMap::new();
    let mut oldest = 0;
    let mut kept = 0;
    for n in 0u64.. {
        let words: Vec<String> = (0..20).map(|word| format!("{word} of {n}")).collect();
        let mut answer = words.join(" ").into_bytes();
        answer.resize(some_size(&mut random_state), 1);
        kept += answer.len();
        answers.insert(n, answer.into_boxed_slice());
        while kept > most {
            kept -= answers.remove(&oldest).map_or(0, |answer| answer.len());
            oldest += 1;
        }
        if n % 10 == 9 {
            thread::sleep(Duration::from_millis(10));
        }
        if n % 1000 == 999 {
            println!("{kept}");
        }
    }
}
