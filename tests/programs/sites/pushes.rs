// SPDX-License-Identifier: MIT
//! Leaks 1 KiB a step in `remember_session`: a vector that is only pushed to.

use std::collections::VecDeque;
use std::io::Write;
use std::thread;
use std::time::Duration;

#[inline(never)]
fn remember_session(sessions: &mut Vec<Vec<u8>>, step: usize) {
    sessions.push(vec![1; 1000 + step % 50]);
}

/// Loud and clean: 8 MiB a second, a quarter of a second each.
#[inline(never)]
fn render_pages(pages: &mut VecDeque<String>, step: usize) {
    for index in 0..16 {
        pages.push_back("x".repeat(64 + (step * 977 + index * 511) % 3900));
        if pages.len() > 1024 {
            pages.pop_front();
        }
    }
}

fn main() {
    let mut sessions = Vec::new();
    let mut pages = VecDeque::new();
    println!("ready");
    std::io::stdout().flush().expect("a reader");
    for step in 0.. {
        remember_session(&mut sessions, step);
        render_pages(&mut pages, step);
        thread::sleep(Duration::from_millis(4));
    }
}
