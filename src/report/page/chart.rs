//! A picture with two axes, as SVG that keeps the size of its letters however wide it is: lines are
//! stretched with the page, letters are put at parts of its width.

use jiff::Timestamp;

use super::scale;
use super::times::Times;
use crate::html::Writer;

/// Steps of the axis of sizes, and of that of times, at most.
const N_SIZES: u32 = 6;
const N_TIMES: u32 = 4;
/// The width and height that lines are drawn in before they are stretched.
const EDGE: f64 = 1000.0;

/// A time in seconds from a moment of reference, and a size in bytes.
pub(super) type Place = (f64, f64);

/// What is seen: times from the left edge to the right, sizes from the lower edge to the upper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    pub left: f64,
    pub right: f64,
    pub bottom: f64,
    pub top: f64,
}

/// Something in the picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// A line, with the class that says how it looks.
    Line(&'static str, Vec<Place>),
    /// A surface between these.
    Area(&'static str, Vec<Place>),
    /// A level with its name.
    Level(&'static str, f64, String),
    /// A moment with its name.
    Moment(&'static str, f64, String),
    /// A dot.
    Dot(&'static str, Place),
}

impl Frame {
    /// Writes the picture. Times are counted from a moment; the text says what is seen.
    pub fn write(
        &self,
        writer: &mut Writer,
        shapes: &[Shape],
        (from, times): (Timestamp, &Times<'_>),
        text: &str,
    ) {
        let attributes = [("class", "chart"), ("role", "img"), ("aria-label", text)];
        writer.within("div", &attributes, |writer| {
            let sizes = scale::sizes(self.bottom, self.top, N_SIZES);
            writer.within(
                "svg",
                &[("class", "sizes"), ("aria-hidden", "true")],
                |writer| {
                    for size in &sizes {
                        let y = percent(self.y(*size));
                        let place = [("x", "100%"), ("y", y.as_str()), ("dy", "0.35em")];
                        writer.element("text", &place, &scale::label(*size, &sizes));
                    }
                },
            );
            let (marks, step) = self.clock(from, times);
            writer.within(
                "svg",
                &[("class", "plot"), ("aria-hidden", "true")],
                |writer| {
                    for size in &sizes {
                        self.horizontal(writer, "grid", *size);
                    }
                    for (secs, _) in &marks {
                        self.vertical(writer, "grid", *secs);
                    }
                    self.stretched(writer, shapes);
                    for shape in shapes {
                        self.fixed(writer, shape);
                    }
                },
            );
            writer.within(
                "svg",
                &[("class", "times"), ("aria-hidden", "true")],
                |writer| {
                    for (secs, time) in &marks {
                        let x = percent(self.x(*secs));
                        let format = match step {
                            0..60 => "%H:%M:%S",
                            60..86_400 => "%H:%M",
                            86_400..7_776_000 => "%b %-d",
                            _ => "%Y-%m",
                        };
                        // What is at an edge stays within.
                        let anchor = match self.x(*secs) {
                            part if part < 0.04 => "start",
                            part if part > 0.96 => "end",
                            _ => "middle",
                        };
                        let place = [("x", x.as_str()), ("y", "14"), ("text-anchor", anchor)];
                        writer.element("text", &place, &times.tell(*time, format));
                    }
                },
            );
        });
    }

    /// Marks on the axis of times, as seconds from the moment and as times.
    fn clock(&self, from: Timestamp, times: &Times<'_>) -> (Vec<(f64, Timestamp)>, u64) {
        let local_secs = (from.as_second() + times.offset_secs(from)) as f64;
        let (marks, step) = scale::times(self.left + local_secs, self.right + local_secs, N_TIMES);
        let marks = marks.into_iter().filter_map(|mark| {
            let secs = mark - local_secs;
            let time = jiff::SignedDuration::from_secs(secs.round() as i64);
            Some((secs, from.checked_add(time).ok()?))
        });
        (marks.collect(), step)
    }

    fn x(&self, secs: f64) -> f64 {
        (secs - self.left) / (self.right - self.left)
    }

    fn y(&self, bytes: f64) -> f64 {
        1.0 - (bytes - self.bottom) / (self.top - self.bottom)
    }

    fn horizontal(&self, writer: &mut Writer, class: &'static str, bytes: f64) {
        let y = percent(self.y(bytes));
        let ends = [("x1", "0"), ("x2", "100%"), ("y1", y.as_str()), ("y2", &y)];
        line(writer, class, &ends);
    }

    fn vertical(&self, writer: &mut Writer, class: &'static str, secs: f64) {
        let x = percent(self.x(secs));
        let ends = [("x1", x.as_str()), ("x2", &x), ("y1", "0"), ("y2", "100%")];
        line(writer, class, &ends);
    }

    fn stretched(&self, writer: &mut Writer, shapes: &[Shape]) {
        let attributes = [
            ("width", "100%"),
            ("height", "100%"),
            ("viewBox", "0 0 1000 1000"),
            ("preserveAspectRatio", "none"),
        ];
        writer.within("svg", &attributes, |writer| {
            for shape in shapes {
                let (tag, class, places) = match shape {
                    Shape::Line(class, places) => ("polyline", class, places),
                    Shape::Area(class, places) => ("polygon", class, places),
                    Shape::Level(..) | Shape::Moment(..) | Shape::Dot(..) => continue,
                };
                let points: Vec<_> = places
                    .iter()
                    .map(|(secs, bytes)| {
                        format!("{:.1},{:.1}", self.x(*secs) * EDGE, self.y(*bytes) * EDGE)
                    })
                    .collect();
                let points = points.join(" ");
                writer.empty(tag, &[("class", class), ("points", points.as_str())]);
            }
        });
    }

    fn fixed(&self, writer: &mut Writer, shape: &Shape) {
        match shape {
            Shape::Line(..) | Shape::Area(..) => {}
            Shape::Level(class, bytes, name) => {
                self.horizontal(writer, class, *bytes);
                let y = percent(self.y(*bytes));
                let place = [
                    ("class", *class),
                    ("x", "6"),
                    ("y", y.as_str()),
                    ("dy", "-5"),
                ];
                writer.element("text", &place, name);
            }
            Shape::Moment(class, secs, name) => {
                self.vertical(writer, class, *secs);
                let (part, x) = (self.x(*secs), percent(self.x(*secs)));
                let (anchor, dx) = if part > 0.5 {
                    ("end", "-5")
                } else {
                    ("start", "5")
                };
                let place = [
                    ("class", *class),
                    ("x", x.as_str()),
                    ("y", "100%"),
                    ("dx", dx),
                    ("dy", "-6"),
                    ("text-anchor", anchor),
                ];
                writer.element("text", &place, name);
            }
            Shape::Dot(class, (secs, bytes)) => {
                let (x, y) = (percent(self.x(*secs)), percent(self.y(*bytes)));
                let place = [
                    ("class", *class),
                    ("cx", x.as_str()),
                    ("cy", &y),
                    ("r", "4"),
                ];
                writer.empty("circle", &place);
            }
        }
    }
}

fn line(writer: &mut Writer, class: &'static str, ends: &[(&'static str, &str)]) {
    let attributes: Vec<_> = [("class", class)]
        .into_iter()
        .chain(ends.iter().copied())
        .collect();
    writer.empty("line", &attributes);
}

/// A part of the whole as SVG writes it.
pub(super) fn percent(part: f64) -> String {
    format!("{:.2}%", part * 100.0)
}
