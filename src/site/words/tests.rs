use super::*;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn named(function: &str) -> Frame {
    Frame {
        function: some(function),
        ..Frame::default()
    }
}

#[test]
fn a_site_is_a_line() {
    for (attribution, grows_again, count, expected) in [
        (
            Attribution::Paired,
            None,
            340,
            "12 MiB in 340 blocks, allocated by",
        ),
        (
            Attribution::Paired,
            Some(true),
            1,
            "12 MiB in 1 block, grew again, allocated by",
        ),
        (
            Attribution::Paired,
            Some(false),
            2,
            "12 MiB in 2 blocks, did not grow again, allocated by",
        ),
        (
            Attribution::BySize,
            Some(true),
            2,
            "12 MiB in 2 blocks, by size: one of these, grew again, allocated by",
        ),
        (
            Attribution::Mapping,
            None,
            3,
            "12 MiB in 3 mappings, mapped by",
        ),
        (
            Attribution::Touched,
            None,
            9,
            "12 MiB in 9 page faults, first touched by",
        ),
        (
            Attribution::Kernel,
            None,
            9,
            "12 MiB of kernel memory in 9 objects, allocated by",
        ),
    ] {
        let site = Site {
            bytes: 12 << 20,
            count,
            attribution,
            grows_again,
            ..Site::default()
        };
        assert_eq!(heading(&site), expected);
    }
}

#[test]
fn a_frame_is_a_line() {
    let long = format!("/build/{}/src/query.c", "x".repeat(60));
    let unnamed = Frame {
        module: some("/usr/lib/x86_64-linux-gnu/libquery.so.1"),
        build_id: some("0123456789abcdef0123456789abcdef01234567"),
        offset: Some(0x4711),
        unknown: some("no symbol there"),
        ..Frame::default()
    };
    let full = Frame {
        file: some("query.c"),
        line: Some(120),
        function: some("parse_row"),
        ..unnamed.clone()
    };
    for (each, expected) in [
        (full.clone(), "parse_row (query.c:120)"),
        (
            Frame {
                inlined: true,
                ..full.clone()
            },
            "parse_row (query.c:120), inlined",
        ),
        (
            Frame {
                line: None,
                ..full.clone()
            },
            "parse_row (query.c)",
        ),
        (
            Frame {
                file: Some(long),
                ..full.clone()
            },
            "parse_row (…/src/query.c:120)",
        ),
        (
            Frame { file: None, ..full },
            "parse_row (libquery.so.1+0x4711)",
        ),
        (
            unnamed.clone(),
            "libquery.so.1+0x4711 (build id 0123456789ab…): no symbol there",
        ),
        (
            Frame {
                module: None,
                build_id: None,
                ..unnamed
            },
            "0x4711: no symbol there",
        ),
        (named("main"), "main"),
        (Frame::default(), "?"),
    ] {
        assert_eq!(frame(&each), expected);
    }
}

#[test]
fn long_functions_keep_what_tells_them_apart() {
    for (name, max, expected) in [
        ("short", 5, "short"),
        (
            "std::map<std::string, std::vector<int> >::insert(std::pair<int, int>)",
            40,
            "std::map<…>::insert(…)",
        ),
        (
            "std::map<std::string, std::vector<int> >::insert(std::pair<int, int>)",
            60,
            "std::map<std::string, std::vector<…> >::insert(std::pair<…>)",
        ),
        (
            "operator<<(std::basic_ostream<char, std::char_traits<char> >&, Row const&)",
            30,
            "operator<<(…)",
        ),
        (
            "a::b::{{closure}}() -> c::d<eee>",
            30,
            "a::b::{{closure}}() -> c::d<…>",
        ),
        ("f(((((((((((((((((((", 10, "f(((…"),
        ("g>>>>>>>>>>>>>>>>>>>", 10, "g>>>>…>>>>"),
        ("aaaaaaaaaaaaaaaaaaaa", 5, "aa…aa"),
    ] {
        let short = function(name, max);
        assert_eq!(short, expected);
    }
    let endless = "std::tuple<".repeat(1000);
    assert!(function(&endless, 60).chars().count() <= 60);
}

#[test]
fn keeps_both_ends() {
    for (text, max, expected) in [
        ("postgres", 8, "postgres"),
        ("postgres", 7, "pos…res"),
        ("/usr/lib/größe", 6, "/us…ße"),
        ("postgres", 1, "…"),
    ] {
        assert_eq!(shorten(text, max), expected);
    }
}

#[test]
fn an_alert_has_room_for_some() {
    let site = Site {
        bytes: 1 << 20,
        count: 2,
        frames: vec![named("f"); 9],
        ..Site::default()
    };
    let expected = [
        &["1 MiB in 2 blocks, allocated by"][..],
        &["  f"; 8],
        &["  …"],
    ]
    .concat();
    assert_eq!(lines(std::slice::from_ref(&site), IN_ALERT), expected);
    let lines = lines(&vec![site; 5], IN_ALERT);
    assert_eq!(lines.len(), 31);
    assert_eq!(lines[30], "and 2 other sites");
}

#[test]
fn where_most_stays_is_one_phrase() {
    let site = |function: &str, bytes| Site {
        bytes,
        frames: vec![named("xmalloc"), named(function)],
        ..Site::default()
    };
    let with = |attribution, grows_again| Site {
        attribution,
        grows_again,
        ..site("parse_row", 9)
    };
    for (sites, expected) in [
        (vec![], None),
        (vec![with(Attribution::Paired, Some(false))], None),
        (
            vec![site("parse_row", 9), site("other", 8)],
            Some("most of what stays is allocated in parse_row"),
        ),
        (
            vec![site("parse_row", 9), site("other", 10)],
            Some("much of what stays is allocated in parse_row"),
        ),
        (
            vec![with(Attribution::BySize, None)],
            Some("most of the sizes that grow is allocated in parse_row"),
        ),
        (
            vec![with(Attribution::Touched, None)],
            Some("most of what is new was first touched in parse_row"),
        ),
        (
            vec![with(Attribution::Mapping, Some(true))],
            Some("most of what stays is mapped in parse_row"),
        ),
    ] {
        assert_eq!(whereabouts(&sites).as_deref(), expected);
    }
}
