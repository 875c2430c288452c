//! The growth of a process as a picture.
//!
//! It has no letters: what they would say stands in the HTML around it, where it can be read in any
//! size. Its ground is always light, so that it is the same on a dark screen.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, Rect, Stroke, StrokeDash,
    Transform,
};

use crate::alert::{Alert, MAX_POINTS, Point, Reason, State};

/// The picture's width in pixels, twice as many as it is shown in, for sharp screens.
const WIDTH: u32 = 960;
/// Its height.
const HEIGHT: u32 = 280;
/// So much stays free around the curve.
const MARGIN: f32 = 12.0;

/// A limit is near if the process holds at least such a part of it, or if it would be reached by
/// growth of not more than so many times what is shown: a line further off would make the growth flat.
const NEAR: f64 = 0.9;
const NEAR_GROWTHS: u64 = 3;

/// The picture, and what its labels say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plot {
    /// As a PNG file.
    pub png: Vec<u8>,
    /// The size at its lower edge, in bytes.
    pub bottom_bytes: u64,
    /// The size at its upper edge.
    pub top_bytes: u64,
    /// The first size.
    pub first_bytes: u64,
    /// The last size.
    pub last_bytes: u64,
    /// The time at its left edge, in seconds before the right one.
    pub secs: f64,
    /// The limit, if there is a line for it.
    pub limit_bytes: Option<u64>,
    /// What is at the right edge.
    pub end: &'static str,
}

impl Plot {
    /// Draws the curve of an alert; nothing if there is none.
    pub fn of(alert: &Alert) -> Option<Self> {
        let points = points(&alert.curve);
        let (first, last) = (points.first()?, points.last()?);
        let secs = first.secs_ago - last.secs_ago;
        if secs <= 0.0 {
            return None;
        }
        let sizes = points.iter().map(|point| point.bytes);
        let (least, most) = (sizes.clone().min()?, sizes.max()?);
        let is_near = |limit: &u64| {
            let growth = (most - least).saturating_mul(NEAR_GROWTHS);
            *limit >= most && (most as f64 >= NEAR * *limit as f64 || limit - most <= growth)
        };
        let limit_bytes = alert.limit_bytes.filter(is_near);
        let is_gone = alert.reason.is_some_and(Reason::is_end) || alert.state == State::Stale;
        let (bottom_bytes, top_bytes) = edges(least, limit_bytes.unwrap_or(most));
        let frame = Frame {
            left_secs: first.secs_ago,
            secs,
            bottom: bottom_bytes as f64,
            top: top_bytes as f64,
        };
        Some(Self {
            png: draw(&points, limit_bytes, &frame)?,
            bottom_bytes,
            top_bytes,
            first_bytes: first.bytes,
            last_bytes: last.bytes,
            secs,
            limit_bytes,
            end: if is_gone { "last seen" } else { "now" },
        })
    }
}

/// What can be drawn, the oldest first.
fn points(curve: &[Point]) -> Vec<Point> {
    let is_time = |point: &&Point| point.secs_ago.is_finite() && point.secs_ago.abs() < 1e12;
    let mut points: Vec<_> = curve
        .iter()
        .take(MAX_POINTS)
        .filter(is_time)
        .copied()
        .collect();
    points.sort_by(|a, b| b.secs_ago.total_cmp(&a.secs_ago));
    points
}

/// Sizes at the lower and the upper edge. From nothing, unless that would hide the growth.
fn edges(least: u64, most: u64) -> (u64, u64) {
    let room = most.saturating_sub(least) / 10;
    let top = most.saturating_add(room).max(1);
    match least < most / 2 {
        true => (0, top),
        false if room == 0 => (0, top),
        false => (least - room.min(least), top),
    }
}

/// Where times and sizes are in the picture.
struct Frame {
    left_secs: f64,
    secs: f64,
    bottom: f64,
    top: f64,
}

impl Frame {
    fn x(&self, point: &Point) -> f32 {
        let part = (self.left_secs - point.secs_ago) / self.secs;
        MARGIN + part as f32 * (WIDTH as f32 - 2.0 * MARGIN)
    }

    fn y(&self, bytes: u64) -> f32 {
        let part = ((bytes as f64 - self.bottom) / (self.top - self.bottom)) as f32;
        HEIGHT as f32 - MARGIN - part * (HEIGHT as f32 - 2.0 * MARGIN)
    }
}

/// Nothing if there is something that cannot be drawn: a mail is complete without a picture.
fn draw(points: &[Point], limit_bytes: Option<u64>, frame: &Frame) -> Option<Vec<u8>> {
    let mut pixels = Pixmap::new(WIDTH, HEIGHT)?;
    pixels.fill(Color::from_rgba8(0xf6, 0xf8, 0xfa, 0xff));
    let (right, floor) = (WIDTH as f32 - MARGIN, HEIGHT as f32 - MARGIN);
    for quarter in 0..=4 {
        let y = MARGIN + (floor - MARGIN) * quarter as f32 / 4.0;
        let line = Rect::from_ltrb(MARGIN, y - 0.5, right, y + 0.5)?;
        pixels.fill_rect(
            line,
            &paint(0xd8, 0xde, 0xe4, 0xff),
            Transform::identity(),
            None,
        );
    }
    let (first, last) = (points.first()?, points.last()?);
    let mut area = PathBuilder::new();
    let mut curve = PathBuilder::new();
    area.move_to(frame.x(first), floor);
    curve.move_to(frame.x(first), frame.y(first.bytes));
    for point in points {
        let (x, y) = (frame.x(point), frame.y(point.bytes));
        area.line_to(x, y);
        curve.line_to(x, y);
    }
    area.line_to(frame.x(last), floor);
    area.close();
    // A curve that is flat at the floor has no area.
    if let Some(area) = area.finish() {
        let blue = paint(0x1f, 0x6f, 0xc5, 0x33);
        pixels.fill_path(&area, &blue, FillRule::Winding, Transform::identity(), None);
    }
    let mut stroke = Stroke {
        width: 5.0,
        line_cap: LineCap::Round,
        line_join: LineJoin::Round,
        ..Stroke::default()
    };
    let blue = paint(0x1f, 0x6f, 0xc5, 0xff);
    pixels.stroke_path(
        &curve.finish()?,
        &blue,
        &stroke,
        Transform::identity(),
        None,
    );
    if let Some(bytes) = limit_bytes {
        let mut line = PathBuilder::new();
        line.move_to(MARGIN, frame.y(bytes));
        line.line_to(right, frame.y(bytes));
        stroke.width = 4.0;
        stroke.line_cap = LineCap::Butt;
        stroke.dash = StrokeDash::new(vec![18.0, 10.0], 0.0);
        let red = paint(0xc6, 0x28, 0x28, 0xff);
        pixels.stroke_path(&line.finish()?, &red, &stroke, Transform::identity(), None);
    }
    let dot = PathBuilder::from_circle(frame.x(last), frame.y(last.bytes), 9.0)?;
    pixels.fill_path(&dot, &blue, FillRule::Winding, Transform::identity(), None);
    pixels.encode_png().ok()
}

fn paint(red: u8, green: u8, blue: u8, alpha: u8) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, alpha);
    paint.anti_alias = true;
    paint
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::fixture::leak;

    const MIB: u64 = 1 << 20;

    fn curve(points: &[(f64, u64)]) -> Alert {
        let point = |&(secs_ago, bytes)| Point { secs_ago, bytes };
        Alert {
            curve: points.iter().map(point).collect(),
            limit_bytes: Some(2048 * MIB),
            ..leak()
        }
    }

    /// The colour of a pixel, read back from the file by another program's decoder.
    fn colour(plot: &Plot, x: u32, y: u32) -> (u8, u8, u8) {
        let pixels = Pixmap::decode_png(&plot.png).expect("is a picture");
        let pixel = pixels.pixel(x, y).expect("is in the picture");
        (pixel.red(), pixel.green(), pixel.blue())
    }

    #[test]
    fn the_curve_the_limit_and_what_the_labels_say() {
        let plot = Plot::of(&curve(&[(0.0, 1600 * MIB), (600.0, 1100 * MIB)])).expect("is drawn");
        assert_eq!(
            (plot.first_bytes, plot.last_bytes, plot.secs, plot.end),
            (1100 * MIB, 1600 * MIB, 600.0, "now")
        );
        assert_eq!(plot.limit_bytes, Some(2048 * MIB));
        assert!(plot.bottom_bytes > 900 * MIB && plot.top_bytes > 2048 * MIB);
        // Of the height between the edges, as the sizes are.
        let at = |bytes: u64| {
            let part =
                (bytes - plot.bottom_bytes) as f64 / (plot.top_bytes - plot.bottom_bytes) as f64;
            (280.0 - 12.0 - part * 256.0) as u32
        };
        assert_eq!(colour(&plot, 14, at(1100 * MIB)), (0x1f, 0x6f, 0xc5));
        assert_eq!(colour(&plot, 940, at(1595 * MIB)), (0x1f, 0x6f, 0xc5));
        assert_eq!(colour(&plot, 20, at(2048 * MIB)), (0xc6, 0x28, 0x28));
        assert_eq!(colour(&plot, 480, at(1660 * MIB)), (0xf6, 0xf8, 0xfa));
        assert!(plot.png.len() < 20_000, "{}", plot.png.len());
    }

    #[test]
    fn the_edges_show_the_growth() {
        for (least, most, expected) in [
            (0, 100, (0, 110)),
            (40, 100, (0, 106)),
            (900, 1000, (890, 1010)),
            (7, 7, (0, 7)),
            (0, 0, (0, 1)),
            (u64::MAX, u64::MAX, (0, u64::MAX)),
        ] {
            assert_eq!(edges(least, most), expected);
        }
    }

    #[test]
    fn a_limit_is_shown_where_it_does_not_hide_the_growth() {
        for (first, last, limit, is_shown) in [
            (100, 1200, 9000, false),
            (1100, 1200, 2048, false),
            (1100, 1200, 1500, true),
            (1100, 1200, 1501, false),
            (1990, 2000, 2048, true),
            (2000, 2100, 2048, false),
        ] {
            let alert = Alert {
                limit_bytes: Some(limit * MIB),
                ..curve(&[(600.0, first * MIB), (0.0, last * MIB)])
            };
            let plot = Plot::of(&alert).expect("is drawn");
            assert_eq!(
                plot.limit_bytes.is_some(),
                is_shown,
                "{first} {last} {limit}"
            );
        }
        let ended = Alert {
            reason: Some(Reason::Exited),
            ..curve(&[(600.0, 1), (0.0, 2)])
        };
        assert_eq!(Plot::of(&ended).expect("is drawn").end, "last seen");
    }

    #[test]
    fn what_is_no_curve_is_no_picture() {
        for points in [
            &[][..],
            &[(0.0, 1)],
            &[(5.0, 1), (5.0, 2)],
            &[(f64::NAN, 1), (f64::INFINITY, 2), (1.0, 3)],
        ] {
            assert_eq!(Plot::of(&curve(points)), None, "{points:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn any_curve_is_drawn_or_left_out(
            points in proptest::collection::vec((any::<f64>(), any::<u64>()), 0..80),
            limit in any::<Option<u64>>(),
        ) {
            let alert = Alert { limit_bytes: limit, ..curve(&points) };
            if let Some(plot) = Plot::of(&alert) {
                prop_assert!(Pixmap::decode_png(&plot.png).is_ok());
            }
        }
    }
}
