//! The HTML of a mail of one alert.
//!
//! Mail programs know little of CSS: tables carry the layout, and each element has its own style.
//! What a class adds is for those that know more, as are colours for a dark screen.

use super::page::{Page, Step, Tone};
use super::plot::Plot;
use super::text::shorten;
pub(super) use crate::html::escape;
use crate::quantity::{Bytes, Span};

/// What a value has room for, in characters.
const MAX_VALUE: usize = 200;

/// What a frame of a stack has room for.
const MAX_FRAME: usize = 120;

/// Letters as the reader's system has them.
const FONT: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const MONO: &str = "font-family:ui-monospace,Consolas,Menlo,'DejaVu Sans Mono',monospace";

/// The whole document. The picture is the part of the message with this Content-ID.
pub(super) fn html(page: &Page, picture: Option<(&Plot, &str)>) -> String {
    let mut body = banner(page.tone, &page.sentence);
    if let Some((plot, id)) = picture {
        body.push_str(&figure(plot, id));
    }
    if let Some(calm) = page.calm {
        body.push_str(&paragraph(calm));
    }
    body.push_str(&facts(&page.facts));
    body.push_str(&sites(&page.sites));
    body.push_str(&steps(&page.steps));
    for sentence in &page.outlook {
        body.push_str(&paragraph(sentence));
    }
    document(&body)
}

/// What all mails have around them.
pub(super) fn document(body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
<meta name=\"color-scheme\" content=\"light dark\">\n\
<meta name=\"supported-color-schemes\" content=\"light dark\">\n\
<title>memleakd</title>\n\
<style>\n\
:root {{ color-scheme: light dark; }}\n\
@media (prefers-color-scheme: dark) {{\n\
.page {{ background-color: #15191e !important; color: #e6e8eb !important; }}\n\
.dim {{ color: #a3abb5 !important; }}\n\
.alarm {{ color: #ff8a80 !important; }}\n\
.line {{ border-color: #39414a !important; }}\n\
.code {{ background-color: #242a31 !important; color: #e6e8eb !important; }}\n\
}}\n\
</style>\n</head>\n\
<body class=\"page\" style=\"margin:0;padding:0;background-color:#ffffff;color:#1f2328\">\n\
<table role=\"presentation\" class=\"page\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
style=\"background-color:#ffffff;color:#1f2328\">\n<tr><td align=\"left\" style=\"padding:12px\">\n\
<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
style=\"max-width:640px;{FONT};font-size:15px;line-height:1.45\">\n{body}</table>\n</td></tr>\n</table>\n</body>\n</html>\n"
    )
}

/// How bad it is in colour, and what has happened. It comes first, for previews.
pub(super) fn banner(tone: Tone, sentence: &str) -> String {
    let (ground, letters) = colours(tone);
    let (word, sentence) = (tone.word(), escape(sentence));
    row(&format!(
        "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr>\
<td bgcolor=\"{ground}\" style=\"background-color:{ground};color:{letters};padding:10px 14px;border-radius:6px\">\
<span style=\"font-size:18px;font-weight:bold\">{word}: </span>\
<span style=\"font-size:16px;word-break:break-word;overflow-wrap:anywhere\">{sentence}</span></td></tr></table>"
    ))
}

/// Ground and letters, which are readable whatever a dark mode makes of the rest.
pub(super) fn colours(tone: Tone) -> (&'static str, &'static str) {
    match tone {
        Tone::Critical => ("#b3261e", "#ffffff"),
        Tone::Warning => ("#ffd766", "#1f2328"),
        Tone::Unknown => ("#57606a", "#ffffff"),
        Tone::Cleared => ("#1a7f37", "#ffffff"),
    }
}

/// Commands to copy, with what they are for.
pub(super) fn steps(steps: &[Step]) -> String {
    let mut html = String::new();
    for step in steps {
        let commands = step.commands.iter().map(|command| escape(command));
        let commands: Vec<_> = commands.collect();
        html.push_str(&format!(
            "<div style=\"padding-top:8px\">{}</div>{}",
            escape(step.what),
            code(&commands)
        ));
    }
    row(&html)
}

/// A row of the page.
pub(super) fn row(content: &str) -> String {
    format!("<tr><td style=\"padding:0 0 14px 0\">{content}</td></tr>\n")
}

/// A sentence.
pub(super) fn paragraph(sentence: &str) -> String {
    row(&escape(sentence))
}

/// Lines that are escaped already, each as it is.
fn code(lines: &[String]) -> String {
    format!(
        "<div class=\"code\" style=\"{MONO};font-size:13px;background-color:#f0f2f4;color:#1f2328;\
padding:6px 10px;margin-top:4px;border-radius:4px;word-break:break-word;overflow-wrap:anywhere\">{}</div>",
        lines.join("<br>\n")
    )
}

fn figure(plot: &Plot, id: &str) -> String {
    let [first, last, top, bottom] = [
        plot.first_bytes,
        plot.last_bytes,
        plot.top_bytes,
        plot.bottom_bytes,
    ]
    .map(Bytes);
    let span = Span::from_secs_f64(plot.secs.min(3e11));
    let end = plot.end;
    let line = plot.limit_bytes.map(|limit| {
        format!(
            ", <span class=\"alarm\" style=\"color:#c62828;font-weight:bold\">limit {}</span>",
            Bytes(limit)
        )
    });
    let line = line.unwrap_or_default();
    let small = "font-size:12px;color:#57606a;white-space:nowrap";
    row(&format!(
        "<div class=\"dim\" style=\"font-size:13px;color:#57606a;padding-bottom:4px\">\
Size: {first} to {last} in {span}{line}</div>\
<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr>\
<td class=\"dim\" valign=\"top\" align=\"right\" width=\"60\" style=\"{small};padding-right:6px\">{top}</td>\
<td rowspan=\"2\" valign=\"top\"><img src=\"cid:{id}\" width=\"540\" \
alt=\"Size: from {first} to {last} in {span}\" \
style=\"display:block;width:100%;max-width:540px;height:auto;border:0\"></td></tr>\
<tr><td class=\"dim\" valign=\"bottom\" align=\"right\" style=\"{small};padding-right:6px\">{bottom}</td></tr>\
<tr><td></td><td><table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
style=\"max-width:540px\"><tr><td class=\"dim\" align=\"left\" style=\"{small}\">{span} ago</td>\
<td class=\"dim\" align=\"right\" style=\"{small}\">{end}</td></tr></table></td></tr></table>",
    ))
}

fn facts(facts: &[(&str, String)]) -> String {
    let mut rows = String::new();
    for (label, value) in facts {
        rows.push_str(&format!(
            "<tr><td class=\"dim line\" valign=\"top\" style=\"color:#57606a;padding:3px 12px 3px 0;\
white-space:nowrap;border-bottom:1px solid #e4e7eb\">{}</td>\
<td class=\"line\" valign=\"top\" style=\"padding:3px 0;word-break:break-word;overflow-wrap:anywhere;\
border-bottom:1px solid #e4e7eb\">{}</td></tr>\n",
            escape(label),
            escape(&shorten(value, MAX_VALUE))
        ));
    }
    row(&format!(
        "<table cellpadding=\"0\" cellspacing=\"0\" border=\"0\" width=\"100%\" style=\"font-size:14px\">\n{rows}</table>"
    ))
}

/// A heading for each site, and its frames below it.
fn sites(lines: &[String]) -> String {
    let mut html = String::new();
    let mut frames = Vec::new();
    for line in lines {
        let text = escape(&shorten(line.trim_start(), MAX_FRAME));
        if line.starts_with(' ') {
            frames.push(text);
            continue;
        }
        if !frames.is_empty() {
            html.push_str(&code(&frames));
            frames.clear();
        }
        html.push_str(&format!("<div style=\"padding-top:8px\">{text}</div>"));
    }
    if !frames.is_empty() {
        html.push_str(&code(&frames));
    }
    match html.is_empty() {
        true => html,
        false => row(&html),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::alert::{Alert, Point};
    use crate::mail::fixture::leak;
    use crate::site::{Frame, Site};

    fn of(alert: &Alert) -> String {
        let plot = Plot::of(alert);
        let picture = plot.as_ref().map(|plot| (plot, "curve@db1"));
        html(&Page::of(alert, &TimeZone::UTC), picture)
    }

    /// The tags of a document, in order, without their attributes.
    fn tags(html: &str) -> Vec<String> {
        let tags = html.split('<').skip(1);
        tags.map(|tag| {
            let end = tag.find([' ', '>', '\n']).expect("ends");
            tag[..end].to_owned()
        })
        .collect()
    }

    fn named(name: &str) -> Alert {
        let frame = Frame {
            function: Some(name.to_owned()),
            ..Frame::default()
        };
        Alert {
            comm: name.to_owned(),
            unit: Some(name.to_owned()),
            exe: Some(name.to_owned()),
            host: name.to_owned(),
            message: name.to_owned(),
            rule: name.to_owned(),
            loss: vec![name.to_owned()],
            sites: vec![Site {
                bytes: 1,
                count: 1,
                frames: vec![frame],
                ..Site::default()
            }],
            curve: [(60.0, 1), (0.0, 2)]
                .map(|(secs_ago, bytes)| Point { secs_ago, bytes })
                .to_vec(),
            ..leak()
        }
    }

    #[test]
    fn it_says_what_the_text_says() {
        let alert = Alert {
            curve: [(600.0, 1 << 30), (0.0, 1258291200)]
                .map(|(secs_ago, bytes)| Point { secs_ago, bytes })
                .to_vec(),
            limit_bytes: Some(1288490188),
            ..named("parse_row")
        };
        let html = of(&alert);
        for expected in [
            "WARNING: </span>",
            "parse_row.</span>",
            "<img src=\"cid:curve@db1\"",
            "Size: 1 GiB to 1.2 GiB in 10 min, ",
            ">limit 1.2 GiB</span>",
            "10 min ago</td>",
            "118 MiB in 10 min, since",
            "1 B in 1 block, allocated by</div>",
            "memleakctl report 5c0f3a91d27e<br>",
        ] {
            assert!(html.contains(expected), "{expected}: {html}");
        }
        let without = of(&Alert {
            curve: Vec::new(),
            ..alert
        });
        assert!(!without.contains("<img"), "{without}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_name_is_markup(name in "(\\PC|[<>&\"'/=\r\n\u{1b}\u{202e}]|</td>|<img src=x onerror=y>|<!--){1,40}") {
            // What a name is made of changes no tag, whatever it is.
            let alert = named(&name);
            let calm = named("x");
            let with_silence = |html: &str| html.contains("memleakctl silence");
            let (html, plain) = (of(&alert), of(&calm));
            prop_assert!(!html.contains(|c: char| c != '\n' && c.is_control()));
            prop_assert!(!html.contains('\u{202e}'), "{}", html);
            let n_steps = |html: &str| usize::from(with_silence(html)) * 4;
            prop_assert_eq!(tags(&html).len() - n_steps(&html), tags(&plain).len() - n_steps(&plain));
            prop_assert!(tags(&html).iter().all(|tag| tags(&plain).contains(tag)));
        }
    }
}
