//! At which instruction of a function a probe costs least. Pure: bytes in, an offset out.
//!
//! A hit costs about 1 us if the kernel emulates the probed instruction, and over ten times that
//! if it must step over a copy of it (on virtual machines above all). So the probe goes to the
//! first instruction that is emulated, if everything that a probe reads is still there: every
//! call comes by exactly once, the arguments are in their registers, and the stack pointer points
//! to the return address.
//!
//! What is emulated is what arch/x86/kernel/uprobes.c and arch/arm64/kernel/probes/decode-insn.c
//! have emulated since Linux 5.10. What only newer kernels emulate (longer nops) is not used.

use std::ops::Range;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register,
};

use super::Cost;

/// Beyond so many instructions a function has long begun its work.
const MAX_INSTRUCTIONS: usize = 16;
/// And beyond so many bytes.
const MAX_BYTES: usize = 64;

/// In which registers arguments come.
const ARGUMENTS: [Register; 6] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
    Register::R9,
];

/// Where a probe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    /// Bytes from the function's start.
    pub(super) offset: u64,
    pub(super) cost: Cost,
    /// If all that the function does is to jump to another: how far from its own start.
    pub(super) jumps_to: Option<i64>,
}

/// Without a better place: the start, which every call comes by.
const START: Placement = Placement {
    offset: 0,
    cost: Cost::Stepped,
    jumps_to: None,
};

/// Where to probe a function of 64-bit x86 code of which so many arguments are to be read. The
/// code may end within the function.
pub(super) fn place_x86_64(code: &[u8], n_arguments: usize) -> Placement {
    let arguments = &ARGUMENTS[..n_arguments.min(ARGUMENTS.len())];
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut registers = InstructionInfoFactory::new();
    for _ in 0..MAX_INSTRUCTIONS {
        let start = decoder.position();
        if start >= MAX_BYTES || !decoder.can_decode() {
            return START;
        }
        let instruction = decoder.decode();
        if is_emulated(&code[start..decoder.position()], &instruction) {
            // A jump to the very start is met by a probe there all the same.
            if jumps_into(code, 1..start as u64 + 1) {
                return START;
            }
            let is_jump = instruction.flow_control() == FlowControl::UnconditionalBranch;
            return Placement {
                offset: start as u64,
                cost: Cost::Emulated,
                jumps_to: is_jump.then(|| instruction.near_branch_target().cast_signed()),
            };
        }
        if !leaves_all_as_it_was(&instruction, arguments, &mut registers) {
            return START;
        }
    }
    START
}

/// Where to probe a function of 64-bit ARM code: at its start, whatever it costs.
///
/// What compilers begin with there (bti, paciasp, stp) is stepped, and behind paciasp the return
/// address is no longer what it was.
pub(super) fn place_aarch64(code: &[u8]) -> Placement {
    let Some(instruction) = code.first_chunk().copied().map(u32::from_le_bytes) else {
        return START;
    };
    // Mask and value: b and bl, b.cond, cbz and cbnz, tbz and tbnz, adr and adrp.
    const SIMULATED: [(u32, u32); 5] = [
        (0x7c00_0000, 0x1400_0000),
        (0xff00_0010, 0x5400_0000),
        (0x7e00_0000, 0x3400_0000),
        (0x7e00_0000, 0x3600_0000),
        (0x1f00_0000, 0x1000_0000),
    ];
    let is_simulated = |(mask, value)| instruction & mask == value;
    Placement {
        cost: if SIMULATED.into_iter().any(is_simulated) {
            Cost::Emulated
        } else {
            Cost::Stepped
        },
        ..START
    }
}

/// Whether every kernel of interest emulates an instruction: pushes of a register, the one-byte
/// nop, and relative jumps and calls, none with a prefix.
fn is_emulated(bytes: &[u8], instruction: &Instruction) -> bool {
    if instruction.is_invalid() {
        return false;
    }
    matches!(
        bytes,
        [0x50..=0x57 | 0x90]
            | [0x41, 0x50..=0x57]
            | [0x70..=0x7f | 0xeb, _]
            | [0xe8 | 0xe9, _, _, _, _]
            | [0x0f, 0x80..=0x8f, _, _, _, _]
    )
}

/// Whether an instruction goes on to the next one, with arguments and stack pointer as before.
fn leaves_all_as_it_was(
    instruction: &Instruction,
    arguments: &[Register],
    registers: &mut InstructionInfoFactory,
) -> bool {
    if instruction.is_invalid() || instruction.flow_control() != FlowControl::Next {
        return false;
    }
    let used = registers.info(instruction).used_registers();
    !used.iter().any(|used| {
        let is_read_only = matches!(
            used.access(),
            OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
        );
        let register = used.register().full_register();
        !is_read_only && (register == Register::RSP || arguments.contains(&register))
    })
}

/// Whether a branch within the function goes to one of these offsets.
fn jumps_into(code: &[u8], offsets: Range<u64>) -> bool {
    if offsets.is_empty() {
        return false;
    }
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        // Calls count too: one into a function's own beginning is none that a compiler makes.
        if offsets.contains(&instruction.near_branch_target()) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).expect("a byte"))
            .collect()
    }

    #[test]
    fn the_first_emulated_instruction_that_sees_all_is_taken() {
        // Code, and where the probe goes, none for the start because nothing better fits.
        let table = [
            ("push first", "41 54 55 53 48 89 fb c3", Some(0)),
            ("push of each", "57 c3", Some(0)),
            ("endbr64, push", "f3 0f 1e fa 55 c3", Some(4)),
            ("test, je", "48 85 ff 0f 84 bf 00 00 00 55 c3", Some(3)),
            ("test, je short", "48 85 ff 74 10 55 c3", Some(3)),
            (
                "cmpb in memory, push",
                "80 3d 01 02 14 00 00 41 54 c3",
                Some(7),
            ),
            (
                "cmpb in memory, je",
                "80 3d 71 0e 14 00 00 74 07 c3",
                Some(7),
            ),
            ("mov from argument, push", "48 89 f8 55 c3", Some(3)),
            (
                "mmap: mov %ecx,%r10d; test; jne",
                "41 89 ca 41 f7 c1 ff 0f 00 00 75 14 c3",
                Some(10),
            ),
            ("nop, push", "90 55 c3", Some(0)),
            ("xor %eax,%eax; call", "31 c0 e8 00 01 00 00 c3", Some(2)),
            ("tail jump", "e9 00 01 00 00", Some(0)),
            ("endbr64, tail jump", "f3 0f 1e fa e9 00 01 00 00", Some(4)),
            (
                "longer nops are passed over",
                "0f 1f 44 00 00 55 c3",
                Some(5),
            ),
            ("nop with a prefix is passed over", "66 90 55 c3", Some(2)),
            ("a jump to the start", "31 c0 55 5d eb fa", Some(2)),
            (
                "an unconditional loop behind it",
                "31 c0 55 5d eb fe",
                Some(2),
            ),
            ("sub of the stack pointer", "48 83 ec 18 55 c3", None),
            ("and of the stack pointer", "48 83 e4 f0 55 c3", None),
            ("pop", "58 55 c3", None),
            ("lea of %rdi", "48 8d 7f 10 55 c3", None),
            ("mov to %edi", "89 c7 55 c3", None),
            ("mov to %sil", "40 b6 01 55 c3", None),
            ("mov to %cl", "b1 01 55 c3", None),
            ("mul writes %rdx", "48 f7 e6 55 c3", None),
            ("conditional mov to %rdi", "48 0f 42 f8 55 c3", None),
            ("xchg %rdi,%rax", "48 97 55 c3", None),
            ("rep stos moves %rdi", "f3 48 ab 55 c3", None),
            (
                "munmap: mov, syscall",
                "b8 0b 00 00 00 0f 05 48 3d 01 f0 ff ff 73 01 c3",
                None,
            ),
            ("ret at once", "c3 55", None),
            ("indirect jump", "ff e0 55", None),
            ("indirect jump without tracking", "3e ff e0 55", None),
            ("loop", "e2 05 55 c3", None),
            ("trap", "cc 55 c3", None),
            ("undefined", "0f 0b 55 c3", None),
            ("invalid", "06 55 c3", None),
            ("push with an operand-size prefix", "66 50 c3", None),
            ("push with REX.W", "48 55 c3", None),
            ("push of an immediate", "6a 01 55 c3", None),
            ("push from memory", "ff 75 00 55 c3", None),
            ("jump with bnd", "f2 e9 00 01 00 00", None),
            (
                "jump with an operand-size prefix",
                "66 e9 00 01 00 00",
                None,
            ),
            ("je with a branch hint", "3e 74 10 55 c3", None),
            ("xchg %r8,%rax is no nop", "49 90 55 c3", None),
            ("loop back to it", "31 c0 55 5d eb fc", None),
            ("loop back to itself", "31 c0 eb fe", None),
            (
                "loop back between start and it",
                "31 c0 31 db 55 5d eb fa",
                None,
            ),
            ("ends within an instruction", "48 85", None),
            ("ends within a jump", "31 c0 e9 00 01", None),
            ("nothing", "", None),
        ];
        for (name, code, expected) in table {
            let placement = place_x86_64(&bytes(code), 6);
            let cost = expected.map_or(Cost::Stepped, |_| Cost::Emulated);
            let found = (placement.offset, placement.cost);
            assert_eq!(found, (expected.unwrap_or(0), cost), "{name}");
        }
    }

    #[test]
    fn only_the_arguments_of_interest_must_be_in_place() {
        // jemalloc's free: %rdx and %rcx are used for other things before its first jump.
        let free = bytes("48 89 fa 48 c1 ea 1e 83 e2 0f 48 89 f9 75 10 c3");
        for (n_arguments, expected) in [(0, 13), (1, 13), (2, 13), (3, 0), (4, 0), (7, 0)] {
            let placement = place_x86_64(&free, n_arguments);
            assert_eq!(placement.offset, expected, "{n_arguments}");
        }
        assert_eq!(place_x86_64(&bytes("48 83 ec 18 55 c3"), 0), START);
    }

    #[test]
    fn the_search_ends() {
        for (n_instructions, expected) in [(15, Cost::Emulated), (16, Cost::Stepped)] {
            let code = [vec![0xf8; n_instructions], vec![0x55]].concat();
            assert_eq!(place_x86_64(&code, 6).cost, expected, "{n_instructions}");
        }
        // Nops of nine bytes.
        let nop = bytes("66 0f 1f 84 00 00 00 00 00");
        for (n_nops, expected) in [(7, Cost::Emulated), (8, Cost::Stepped)] {
            let code = [nop.repeat(n_nops), vec![0x55]].concat();
            assert_eq!(place_x86_64(&code, 6).cost, expected, "{n_nops}");
        }
    }

    #[test]
    fn a_function_that_only_jumps_on_says_where() {
        for (code, expected) in [
            ("e9 00 01 00 00", Some(0x105)),
            ("eb fe", Some(0)),
            ("f3 0f 1e fa e9 f7 fe ff ff", Some(-0x100)),
            ("74 10", None),
            ("e8 00 01 00 00", None),
            ("55", None),
        ] {
            assert_eq!(place_x86_64(&bytes(code), 6).jumps_to, expected, "{code}");
        }
    }

    #[test]
    fn on_arm_the_start_is_taken_at_its_cost() {
        for (name, code, cost) in [
            ("b", "01 00 00 14", Cost::Emulated),
            ("bl", "01 00 00 94", Cost::Emulated),
            ("b.ne", "21 00 00 54", Cost::Emulated),
            ("cbz x0", "40 00 00 b4", Cost::Emulated),
            ("tbnz w0, #31", "40 00 f8 37", Cost::Emulated),
            ("adrp x2", "02 09 00 f0", Cost::Emulated),
            ("stp x29, x30, [sp, #-32]!", "fd 7b be a9", Cost::Stepped),
            ("paciasp", "3f 23 03 d5", Cost::Stepped),
            ("bti c", "5f 24 03 d5", Cost::Stepped),
            ("ret", "c0 03 5f d6", Cost::Stepped),
            ("cut off", "c0 03", Cost::Stepped),
        ] {
            let expected = Placement { cost, ..START };
            assert_eq!(place_aarch64(&bytes(code)), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_code_gets_a_place_within_it(code in proptest::collection::vec(any::<u8>(), 0..300)) {
            let placement = place_x86_64(&code, 6);
            prop_assert!(placement.offset == 0 || placement.offset < code.len().min(MAX_BYTES) as u64);
            place_aarch64(&code);
        }

        #[test]
        fn likely_code_gets_a_place_that_is_emulated_or_the_start(
            picks in proptest::collection::vec(0..12_usize, 0..20),
        ) {
            const PARTS: [&str; 12] = [
                "55", "41 54", "48 85 ff", "74 f0", "eb 02", "f3 0f 1e fa", "31 c0", "48 89 f8",
                "48 83 ec 08", "0f 84 f0 ff ff ff", "90", "e8 01 00 00 00",
            ];
            let parts: Vec<_> = picks.iter().map(|pick| bytes(PARTS[*pick])).collect();
            let placement = place_x86_64(&parts.concat(), 6);
            let mut offset = 0;
            let starts = parts.iter().map(|part| {
                offset += part.len();
                offset - part.len()
            });
            let at = starts.zip(&picks).find(|(start, _)| *start as u64 == placement.offset);
            if placement.cost == Cost::Emulated {
                let (start, pick) = at.expect("an instruction's start");
                prop_assert!([0, 1, 3, 4, 9, 10, 11].contains(pick));
                let before = picks.iter().scan(0, |offset, pick| {
                    let start = *offset;
                    *offset += bytes(PARTS[*pick]).len();
                    Some((start, *pick))
                });
                let harmless = [2, 5, 6, 7];
                let mut before = before.take_while(|(other, _)| *other < start);
                prop_assert!(before.all(|(_, pick)| harmless.contains(&pick)));
            }
        }
    }
}
