//! Compiles the BPF programs and generates their Rust skeletons into `OUT_DIR`; exports one name.

use std::env;
use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

const PROGRAMS: [&str; 5] = ["fault", "heap", "kernel", "oom", "scan"];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    for program in PROGRAMS {
        let source = format!("bpf/{program}.bpf.c");
        if let Err(error) = SkeletonBuilder::new()
            .source(&source)
            .obj(out.join(format!("{program}.bpf.o")))
            .clang_args(["-Wall", "-Wextra", "-Werror", "-Ibpf"])
            .build_and_generate(out.join(format!("{program}.skel.rs")))
        {
            panic!("{source} does not compile (clang, version 11 or later, is needed): {error:#}");
        }
    }
    println!("cargo::rerun-if-changed=bpf");
    // Programs are stripped, and the leak of "memleakctl demo-leak" is to be found by its name.
    println!("cargo::rustc-link-arg-bin=memleakctl=-Wl,--export-dynamic-symbol=memleakd_demo_leak");
}
