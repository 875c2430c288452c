// SPDX-License-Identifier: MIT
//! Takes at the end of a chain of Rust calls that is known.

use std::arch::global_asm;
use std::io::{Read, Write, stdin, stdout};

// Says where its caller is and what its registers are, once it has returned.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl take",
    "take:",
    "mov rdi, [rsp]",
    "lea rsi, [rsp + 8]",
    "mov rdx, rbp",
    "jmp {announce}",
    announce = sym announce,
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl take",
    "take:",
    "mov x0, x30",
    "mov x1, sp",
    "mov x2, x29",
    "b {announce}",
    announce = sym announce,
);

unsafe extern "C" {
    safe fn take();
}

extern "C" fn announce(ip: u64, sp: u64, fp: u64) {
    let mut output = stdout();
    writeln!(output, "{ip:x} {sp:x} {fp:x}").unwrap();
    output.flush().unwrap();
    let _ = stdin().read(&mut [0; 1]);
}

struct Shop<T> {
    things: Vec<T>,
}

impl<T: Clone> Shop<T> {
    #[inline(never)]
    fn middle(&mut self, thing: &T) -> usize {
        self.things.push(thing.clone());
        let found = innermost(self.things.len()); // line: middle
        found + self.things.len()
    }
}

#[inline(never)]
fn innermost(n: usize) -> usize {
    take(); // line: innermost
    std::hint::black_box(n)
}

#[inline(never)]
fn outermost() -> usize {
    let mut shop = Shop { things: Vec::new() };
    let sum: usize = (0..1)
        .map(|n| shop.middle(&format!("{n}"))) // line: outermost
        .sum();
    std::hint::black_box(sum)
}

fn main() {
    std::process::exit(i32::from(outermost() == 0));
}
