//! A report as folded stacks, for flamegraph.pl, inferno, speedscope and their like.

use super::Report;
use crate::site::{Attribution, Frame, Site, words};

/// More than one site can hold. Whoever adds up lines, these or others, does not overflow.
pub(super) const MAX_BYTES: u64 = 1 << 44;

/// A line for each site: `comm;outermost;…;innermost bytes`.
///
/// Functions have their whole names, of those without one it is the module and offset. Sites that
/// are not of the heap have their kind behind `comm`, as their bytes are counted otherwise. Sites
/// that have ended are left out if there are others.
pub fn folded(report: &Report) -> String {
    let comm = element(&report.comm);
    report.standing().map(|site| line(&comm, site)).collect()
}

fn line(comm: &str, site: &Site) -> String {
    let kind = match site.attribution {
        Attribution::Paired | Attribution::BySize => None,
        Attribution::Mapping => Some("[mapped]"),
        Attribution::Touched => Some("[first touched]"),
        Attribution::Kernel => Some("[kernel memory]"),
    };
    let cut = site.cut.is_some().then_some("[stack is cut]");
    let frames = site.frames.iter().rev().map(name);
    let ends = [kind, cut].into_iter().flatten().map(str::to_owned);
    let mut line = comm.to_owned();
    for part in ends.chain(frames) {
        line.push(';');
        line.push_str(&part);
    }
    format!("{line} {}\n", site.bytes.min(MAX_BYTES))
}

fn name(frame: &Frame) -> String {
    match &frame.function {
        Some(function) => element(function),
        None => element(&words::place(frame)),
    }
}

/// A name as one element of a stack. Semicolons would end it, and what looks like a number at its
/// end would be read as one; other spaces do no harm and stay.
fn element(name: &str) -> String {
    let mut element = String::with_capacity(name.len());
    for c in name.trim().chars() {
        match c {
            ';' => element.push(','),
            c if c.is_control() => element.push('?'),
            c => element.push(c),
        }
    }
    if let Some((start, end)) = element.rsplit_once(char::is_whitespace)
        && end.chars().all(|c| c.is_ascii_digit() || c == '.')
    {
        element = format!("{start}_{end}");
    }
    match element.starts_with('#') {
        // A line that begins so is a comment.
        true => format!("_{element}"),
        false if element.is_empty() => "?".to_owned(),
        false => element,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{capture, report, site};

    #[test]
    fn a_site_is_a_line_with_its_outermost_frame_first() {
        let with = |attribution, grows_again| Site {
            attribution,
            grows_again,
            ..site(7, &[1, 2])
        };
        let mut found = report(vec![capture(0, vec![site(5, &[1, 2, 3])])]);
        assert_eq!(folded(&found), "postgres;f3;f2;f1 5\n");
        found.sites = vec![
            with(Attribution::BySize, None),
            with(Attribution::Mapping, Some(true)),
            with(Attribution::Touched, None),
            with(Attribution::Kernel, None),
            with(Attribution::Paired, Some(false)),
            Site {
                cut: Some("too deep".to_owned()),
                ..site(9, &[1])
            },
        ];
        found.sites[0].frames[0].function = None;
        assert_eq!(
            folded(&found),
            "postgres;f2;app+0x1 7\n\
             postgres;[mapped];f2;f1 7\n\
             postgres;[first touched];f2;f1 7\n\
             postgres;[kernel memory];f2;f1 7\n\
             postgres;[stack is cut];f1 9\n"
        );
        found.sites = vec![with(Attribution::Paired, Some(false))];
        assert_eq!(folded(&found), "postgres;f2;f1 7\n");
        found.sites.clear();
        assert_eq!(folded(&found), "");
    }

    #[test]
    fn no_name_is_more_than_one_element() {
        for (name, expected) in [
            ("operator new(unsigned long)", "operator new(unsigned long)"),
            ("<[u8; 4]>::to_vec", "<[u8, 4]>::to_vec"),
            ("worker 12", "worker_12"),
            ("worker 1.5", "worker_1.5"),
            (" a\nb ", "a?b"),
            ("# note", "_# note"),
            ("", "?"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ] {
            assert_eq!(element(name), expected);
        }
    }
}
