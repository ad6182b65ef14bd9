//! The timeline as an SVG picture: a lane for each core, a stack of everybody's memory, a line for each step.

use svg::node::element::{Group, Line, Rectangle, Title};

use super::colour;
use crate::drawing::{self, INK, PAPER, label, rounded};
use crate::story::{FREE, Span, Timeline};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 64.0;
const LANE: f64 = 28.0;
const STACK: f64 = 160.0;
const STEP_LINE: f64 = 17.0;
const FAINT: &str = "#dddddd";

/// Where things are on the page.
struct Page<'t> {
    timeline: &'t Timeline,
    owners: Vec<String>,
    lanes: f64,
}

/// The picture, as the text of an SVG file.
#[must_use]
pub fn picture(timeline: &Timeline, title: &str, steps: &[String]) -> String {
    let cores = timeline.cores();
    let lanes = (0..cores.len()).fold(0.0, |sum, _| sum + LANE);
    let page = Page { timeline, owners: timeline.owners(), lanes };
    let list = page.stack_bottom() + 44.0;
    let height = steps.iter().fold(list, |sum, _| sum + STEP_LINE) + 12.0;
    let mut document = drawing::page(WIDTH, height, LEFT, title).add(page.legend());
    let mut y = TOP;
    for (core, spans) in &cores {
        document = document.add(page.lane(*core, spans, y));
        y += LANE;
    }
    document.add(page.stack()).add(page.marks()).add(page.axis()).add(step_list(steps, list)).to_string()
}

impl Page<'_> {
    fn stack_top(&self) -> f64 {
        TOP + self.lanes + 20.0
    }

    fn stack_bottom(&self) -> f64 {
        self.stack_top() + STACK
    }

    #[expect(clippy::cast_precision_loss, reason = "a picture needs no more than 52 bits")]
    fn x(&self, time: u64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (time as f64 / self.timeline.length() as f64)
    }

    fn colour(&self, owner: &str) -> &'static str {
        if owner == FREE { FAINT } else { colour(&self.owners, owner).1 }
    }

    /// A rectangle with a tooltip.
    fn block(&self, span: (u64, u64), y: f64, height: f64, owner: &str, tip: &str) -> Rectangle {
        let (from, to) = (self.x(span.0), self.x(span.1));
        Rectangle::new()
            .set("x", rounded(from))
            .set("y", rounded(y))
            // What was too short to see is seen all the same.
            .set("width", rounded((to - from).max(0.8)))
            .set("height", rounded(height))
            .set("fill", self.colour(owner))
            .add(Title::new(tip))
    }

    fn lane(&self, core: u64, spans: &[Span<String>], y: f64) -> Group {
        let mut lane = Group::new()
            .add(label(LEFT - 8.0, y + LANE * 0.6, &format!("core {core}")).set("text-anchor", "end"));
        for span in spans {
            let tip = format!("core {core}: {}{}", span.value, self.duration(span.from, span.to));
            lane = lane.add(self.block((span.from, span.to), y + 2.0, LANE - 4.0, &span.value, &tip));
            if self.x(span.to) - self.x(span.from) > 60.0 && span.value != FREE {
                let text = label(self.x(span.from) + 6.0, y + LANE * 0.62, &span.value).set("fill", PAPER);
                lane = lane.add(text);
            }
        }
        lane
    }

    /// Everybody's memory, one on top of the other, at every time at which anybody's changes.
    #[expect(clippy::cast_precision_loss, reason = "a picture needs no more than 52 bits")]
    fn stack(&self) -> Group {
        let memory = self.timeline.memory();
        let mut times: Vec<u64> =
            memory.iter().flat_map(|(_, spans)| spans).flat_map(|span| [span.from, span.to]).collect();
        times.sort_unstable();
        times.dedup();
        let amount = |spans: &[Span<u64>], time: u64| {
            spans.iter().find(|span| span.from <= time && time < span.to).map_or(0, |span| span.value)
        };
        let total = |time: &u64| memory.iter().map(|(_, spans)| amount(spans, *time)).sum::<u64>();
        let most = times.iter().map(total).max().unwrap_or(0).max(1);
        let mut group = Group::new().add(
            label(LEFT - 8.0, self.stack_top() + 10.0, &format!("{most} MiB")).set("text-anchor", "end"),
        );
        group = group.add(label(LEFT - 8.0, self.stack_bottom(), "memory").set("text-anchor", "end"));
        for pair in times.windows(2) {
            let &[from, to] = pair else { continue };
            let mut y = self.stack_bottom();
            for (subos, spans) in &memory {
                let value = amount(spans, from);
                let height = STACK * (value as f64 / most as f64);
                y -= height;
                if value > 0 {
                    group =
                        group.add(self.block((from, to), y, height, subos, &format!("{subos}: {value} MiB")));
                }
            }
        }
        group
    }

    fn marks(&self) -> Group {
        let mut last = (f64::MIN, 0.0);
        self.timeline.steps().iter().fold(Group::new(), |group, (time, step)| {
            let x = rounded(self.x(*time));
            // Numbers that would overlap stand on two levels.
            let level = if x - last.0 < 12.0 && last.1 == 0.0 { 9.0 } else { 0.0 };
            last = (x, level);
            let line = Line::new().set("x1", x).set("x2", x).set("y1", TOP).set("y2", self.stack_bottom());
            let number =
                label(x, TOP - 4.0, &(step + 1).to_string()).set("font-size", 9).set("text-anchor", "middle");
            group
                .add(line.set("stroke", INK).set("stroke-width", 0.5).set("stroke-dasharray", "2 2"))
                .add(number)
        })
    }

    /// The axis of time, with a label at every round number of seconds.
    fn axis(&self) -> Group {
        let (y, length) = (self.stack_bottom(), self.timeline.length());
        let line =
            Line::new().set("x1", LEFT).set("x2", WIDTH - RIGHT).set("y1", y).set("y2", y).set("stroke", INK);
        let group = Group::new().add(line);
        let Some(seconds) = self.timeline.seconds(length) else { return group };
        let steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
        let step = steps.into_iter().find(|step| seconds / step <= 12.0).unwrap_or(1000.0);
        let mut at = 0.0;
        let mut labels = group;
        while at <= seconds {
            let x = LEFT + (WIDTH - LEFT - RIGHT) * at / seconds;
            let tick =
                Line::new().set("x1", rounded(x)).set("x2", rounded(x)).set("y1", y).set("y2", y + 4.0);
            let text = if step < 1.0 { format!("{at:.2} s") } else { format!("{at:.0} s") };
            labels = labels.add(tick.set("stroke", INK));
            labels = labels.add(label(x, y + 16.0, &text).set("text-anchor", "middle"));
            at += step;
        }
        labels
    }

    fn legend(&self) -> Group {
        let mut x = LEFT;
        self.owners.iter().fold(Group::new(), |group, owner| {
            let square = Rectangle::new().set("x", x).set("y", 33).set("width", 10).set("height", 10);
            let text = label(x + 14.0, 42.0, owner);
            x += owner.chars().fold(34.0, |width, _| width + 7.0);
            group.add(square.set("fill", self.colour(owner))).add(text)
        })
    }

    fn duration(&self, from: u64, to: u64) -> String {
        let seconds = self.timeline.seconds(to.saturating_sub(from));
        seconds.map_or(String::new(), |seconds| format!(" for {seconds:.3} s"))
    }
}

fn step_list(steps: &[String], top: f64) -> Group {
    let mut y = top;
    (1..).zip(steps).fold(Group::new(), |group, (number, step)| {
        let text = label(LEFT, y, &format!("{number}. {step}"));
        y += STEP_LINE;
        group.add(text)
    })
}
