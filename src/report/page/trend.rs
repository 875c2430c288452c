//! How the process came to its size, what is sure of its rate, and when a limit would be reached.

use jiff::Timestamp;

use super::chart::{Frame, Place, Shape};
use super::section;
use super::times::Times;
use crate::alert::message::forecast;
use crate::alert::{Alert, Gate, Reason, State};
use crate::collect::LimitKind;
use crate::html::Writer;
use crate::quantity::{Bytes, Rate, Span};
use crate::report::Report;

/// More points than the daemon keeps, from whoever has written this report.
const MAX_POINTS: usize = 10_000;
/// So much of the time before the growth is shown, as a part of the time in which it grew.
const BEFORE: f64 = 0.35;
/// A limit that is further off than so many times what is shown of the past is beyond the picture.
const FAR: f64 = 3.0;
/// How much of the future is shown then, as a part of the past.
const SOME: f64 = 0.6;

/// The curves as places: seconds from a moment, and bytes.
struct Trend {
    from: Timestamp,
    pages: Vec<Place>,
    /// As it would be if all of it were in the heap at the beginning of its measuring.
    heap: Vec<Place>,
    heap_bytes: f64,
}

/// Where growth goes if it goes on.
struct Forecast {
    /// Now.
    at: Place,
    /// The size at which a limit is reached.
    reach: f64,
    /// Seconds until then.
    low: f64,
    likely: f64,
    high: Option<f64>,
}

/// Writes the part of the page; nothing if there is no curve.
pub(super) fn write(writer: &mut Writer, report: &Report, times: &Times<'_>) {
    let Some(trend) = Trend::of(report) else {
        return;
    };
    let alert = report.alert.as_deref();
    let open = alert.filter(|alert| alert.state == State::Firing);
    let forecast = open.and_then(|alert| trend.forecast(alert));
    let (shapes, frame) = trend.shapes(alert, open, forecast.as_ref());
    let Some(frame) = frame else {
        return;
    };
    // Whether the limit is within the picture.
    let seen = forecast.map(|forecast| forecast.reach <= frame.top);
    section(writer, "growth", "Growth", |writer| {
        let text = trend.text(open);
        writer.within("figure", &[], |writer| {
            frame.write(writer, &shapes, (trend.from, times), &text);
            writer.within("figcaption", &[], |writer| {
                writer.within("ul", &[("class", "legend")], |writer| {
                    for (class, words) in trend.legend(open, seen) {
                        writer.within("li", &[], |writer| {
                            swatch(writer, class);
                            writer.text(&words);
                        });
                    }
                });
            });
        });
    });
}

impl Trend {
    fn of(report: &Report) -> Option<Self> {
        let alert = report.alert.as_deref();
        let kept = report.curve.as_ref().filter(|curve| curve.pages.len() > 1);
        let (from, points) = match (kept, report.time, alert) {
            (Some(curve), Some(time), _) => (time, &curve.pages),
            (_, time, Some(alert)) => (time.unwrap_or(alert.time), &alert.curve),
            _ => return None,
        };
        let points = points.iter().take(MAX_POINTS);
        let pages = in_order(points.map(|point| (-point.secs_ago, point.bytes as f64)));
        let grows_since = alert.map(|alert| secs_from(from, alert.since));
        let last = pages.last()?.0;
        // What was long before the growth would make it a line at the edge.
        let left = grows_since.map_or(f64::NEG_INFINITY, |since| since - BEFORE * (last - since));
        let n_before = pages.iter().filter(|(secs, _)| *secs < left).count();
        let pages = pages[n_before.min(pages.len() - 1)..].to_vec();
        let first = pages.first()?.0;
        if last <= first {
            return None;
        }
        let net = kept
            .map(|curve| curve.net_heap.as_slice())
            .unwrap_or_default();
        let net = net.iter().take(MAX_POINTS);
        let net = in_order(net.map(|point| (-point.secs_ago, point.net_bytes as f64)));
        let net: Vec<_> = net.into_iter().filter(|(secs, _)| *secs >= first).collect();
        let (heap, heap_bytes) = match (net.first(), net.last()) {
            (Some((began, base)), Some((_, end))) if net.len() > 1 => {
                let at_begin = at(&pages, *began) - base;
                let heap = net.iter().map(|(secs, bytes)| (*secs, bytes + at_begin));
                (heap.collect(), end - base)
            }
            _ => (Vec::new(), 0.0),
        };
        Some(Self {
            from,
            pages,
            heap,
            heap_bytes,
        })
    }

    fn forecast(&self, alert: &Alert) -> Option<Forecast> {
        let likely = alert.exhausts_in_secs? as f64;
        let low = alert
            .exhausts_in_secs_low
            .map_or(likely, |secs| secs as f64);
        let is_known = alert.exhausts_in_secs_low.is_some();
        let high = alert.exhausts_in_secs_high.map(|secs| secs as f64);
        let high = if is_known { high } else { Some(likely) };
        let growth = alert.growth_bytes_per_sec.max(0.0) * likely;
        let at = (self.pages.last()?.0, alert.bytes as f64);
        (growth.is_finite() && likely > 0.0).then_some(Forecast {
            at,
            // A limit that others share is reached before this process alone has so much.
            reach: at.1 + growth,
            low: low.clamp(1.0, likely),
            likely,
            high: high.map(|high| high.max(likely)),
        })
    }

    fn shapes(
        &self,
        alert: Option<&Alert>,
        open: Option<&Alert>,
        forecast: Option<&Forecast>,
    ) -> (Vec<Shape>, Option<Frame>) {
        let (first, last) = (self.pages[0], self.pages[self.pages.len() - 1]);
        let mut shapes = Vec::new();
        let mut sizes: Vec<f64> = self
            .pages
            .iter()
            .chain(&self.heap)
            .map(|place| place.1)
            .collect();
        let mut right = last.0;
        if let Some(alert) = open {
            let now = last.0;
            let since = now - fitted_secs(alert);
            let since = since.max(first.0);
            let low = alert.growth_bytes_per_sec_low;
            if low.is_finite() && low > 0.0 && since < now {
                let bytes = alert.bytes as f64;
                let begun = (bytes - low * (now - since)).max(0.0);
                sizes.push(begun);
                shapes.push(Shape::Line("low", vec![(since, begun), (now, bytes)]));
            }
        }
        if let Some(forecast) = forecast {
            let past = last.0 - first.0;
            let is_near = forecast.likely <= past * FAR;
            let shown = match is_near {
                true => {
                    forecast
                        .high
                        .unwrap_or(f64::INFINITY)
                        .min(forecast.likely * 1.6)
                        * 1.04
                }
                false => past * SOME,
            };
            right = right.max(forecast.at.0 + shown);
            sizes.push(match is_near {
                true => forecast.reach,
                false => forecast.at.1 + forecast.growth() * shown / forecast.low,
            });
            shapes.extend(forecast.shapes(right));
        }
        let limit = alert.and_then(|alert| Some((alert, alert.limit_bytes?)));
        let sizes_now = sizes.iter().copied();
        let (least, most) = (
            sizes_now.clone().fold(f64::INFINITY, f64::min),
            sizes_now.fold(0.0, f64::max),
        );
        let reach = match (forecast, limit) {
            (Some(forecast), Some((alert, limit))) => {
                Some((forecast.reach, limit_name(alert, limit, forecast.reach)))
            }
            // Without a forecast a line far above would make the growth flat.
            (None, Some((alert, limit))) => {
                let size = limit as f64;
                let is_own = alert.limit_kind != Some(LimitKind::Host);
                let is_near = size >= most && size - most <= 3.0 * (most - least);
                (is_own && is_near).then(|| (size, limit_name(alert, limit, size)))
            }
            _ => None,
        };
        let reach = reach.filter(|(size, _)| forecast.is_none() || *size <= most);
        let most = reach.as_ref().map_or(most, |(size, _)| most.max(*size));
        let mut area = self.pages.clone();
        area.extend([(last.0, 0.0), (first.0, 0.0)]);
        shapes.push(Shape::Area("pages", area));
        shapes.push(Shape::Line("pages", self.pages.clone()));
        // Dashed, and above: of a leak of the heap both are one line.
        shapes.push(Shape::Line("heap", self.heap.clone()));
        shapes.push(Shape::Dot("pages", last));
        if let Some((size, name)) = reach {
            shapes.push(Shape::Level("limit", size, name));
        }
        let raised = alert.map(|alert| secs_from(self.from, alert.raised));
        if let Some(raised) = raised.filter(|raised| *raised > first.0 && *raised <= last.0) {
            shapes.push(Shape::Moment("raised", raised, "raised".to_owned()));
        }
        let room = (most - least).max(most / 50.0).max(1.0) / 8.0;
        // What does not change has no growth to show.
        let bottom = match least < most / 2.0 || least == most {
            true => 0.0,
            false => (least - room).max(0.0),
        };
        let frame = Frame {
            left: first.0,
            right,
            bottom,
            top: most + room,
        };
        let is_seen = frame.right > frame.left
            && frame.top > frame.bottom
            && frame.top < 1e20
            && frame.right - frame.left < 1e12;
        (shapes, is_seen.then_some(frame))
    }

    /// What is seen, for who does not see it.
    fn text(&self, open: Option<&Alert>) -> String {
        let (first, last) = (self.pages[0], self.pages[self.pages.len() - 1]);
        let span = Span::from_secs_f64(last.0 - first.0);
        let mut text = format!(
            "Size over time: from {} to {} in {span}",
            Bytes(first.1 as u64),
            Bytes(last.1 as u64)
        );
        if let Some(left) = open.and_then(forecast) {
            text += &format!("; a limit would be reached in {left}");
        }
        text
    }

    fn legend(&self, open: Option<&Alert>, seen: Option<bool>) -> Vec<(&'static str, String)> {
        let last = self.pages[self.pages.len() - 1];
        let mut legend = vec![("pages", format!("pages, {}", Bytes(last.1 as u64)))];
        if !self.heap.is_empty() {
            let sign = if self.heap_bytes < 0.0 { "-" } else { "+" };
            let bytes = Bytes(self.heap_bytes.abs() as u64);
            let began = Span::from_secs_f64(last.0 - self.heap[0].0);
            legend.push((
                "heap",
                format!("net heap, {sign}{bytes} in {began}, drawn from where its measuring began"),
            ));
        }
        if let Some(alert) = open {
            let low = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec_low);
            legend.push(("low", format!("lower bound of the rate, {low}")));
            if let Some(seen) = seen
                && let Some(left) = forecast(alert)
            {
                let limit = alert.limit_bytes.zip(alert.limit_kind);
                let limit = limit.map_or_else(
                    || "a limit".to_owned(),
                    |(bytes, kind)| format!("{kind} ({})", Bytes(bytes)),
                );
                let beyond = if seen { "" } else { ", beyond this picture" };
                legend.push((
                    "fan",
                    format!("forecast: {limit} is reached in {left}{beyond}"),
                ));
            }
        }
        legend
    }
}

impl Forecast {
    fn growth(&self) -> f64 {
        self.reach - self.at.1
    }

    fn shapes(&self, right: f64) -> Vec<Shape> {
        let (now, bytes) = self.at;
        let early = (now + self.low, self.reach);
        let late = match self.high {
            Some(high) => (now + high, self.reach),
            None => (right.max(early.0), bytes),
        };
        let likely = (now + self.likely, self.reach);
        let mut fan = vec![self.at, early, late];
        if self.high.is_none() {
            // It may never be reached: all that lies below is possible.
            fan.insert(2, (late.0, self.reach));
        }
        vec![
            Shape::Area("fan", fan),
            Shape::Line("likely", vec![self.at, likely]),
        ]
    }
}

/// A limit that is the process's own is told by its size, others by what is left until then.
fn limit_name(alert: &Alert, limit_bytes: u64, reach: f64) -> String {
    let kind = alert.limit_kind.map(|kind| kind.to_string());
    let kind = kind.unwrap_or_else(|| "limit".to_owned());
    let limit = Bytes(limit_bytes);
    match (reach - limit_bytes as f64).abs() <= limit_bytes as f64 / 20.0 {
        true => format!("{kind}: {limit}"),
        false => {
            let more = Bytes((reach - alert.bytes as f64).max(0.0) as u64);
            format!("{kind} ({limit}): {more} more")
        }
    }
}

/// For how long the growth has lasted that the rate was found in.
fn fitted_secs(alert: &Alert) -> f64 {
    let lasted = alert
        .gates
        .iter()
        .find(|check| check.gate == Gate::Sustained);
    let known = alert.time.duration_since(alert.since).as_secs_f64();
    lasted.map_or(known, |check| check.value).max(0.0)
}

/// Seconds from one time to another.
fn secs_from(from: Timestamp, time: Timestamp) -> f64 {
    time.duration_since(from).as_secs_f64()
}

fn in_order(places: impl Iterator<Item = Place>) -> Vec<Place> {
    let is_time = |(secs, _): &Place| secs.is_finite() && secs.abs() < 1e11;
    let mut places: Vec<_> = places.filter(is_time).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    places
}

/// The size at a time, between the points that are known.
fn at(places: &[Place], secs: f64) -> f64 {
    let next = places.iter().position(|place| place.0 >= secs);
    match next {
        None => places.last().map_or(0.0, |place| place.1),
        Some(0) => places[0].1,
        Some(next) => {
            let ((from, a), (to, b)) = (places[next - 1], places[next]);
            a + (b - a) * (secs - from) / (to - from)
        }
    }
}

/// How a line looks.
fn swatch(writer: &mut Writer, class: &'static str) {
    let size = [("class", "swatch"), ("aria-hidden", "true")];
    writer.within("svg", &size, |writer| match class {
        "fan" => {
            let place = [("class", class), ("width", "100%"), ("height", "100%")];
            writer.empty("rect", &place);
        }
        _ => {
            let ends = [
                ("class", class),
                ("x2", "100%"),
                ("y1", "50%"),
                ("y2", "50%"),
            ];
            writer.empty("line", &ends);
        }
    });
}

// What an alert that has ended had is its last size.
pub(super) fn is_gone(alert: &Alert) -> bool {
    alert.reason.is_some_and(Reason::is_end) || alert.state == State::Stale
}
