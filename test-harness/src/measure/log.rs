//! What the plugin wrote, read back.

use std::path::Path;

use crate::failure::{Doing, Failure, Result};

/// The marker from which on instructions are followed, if the plugin was asked to.
const FOLLOW: u16 = 0xfff2;

/// What made the plugin note the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The guest executed the marker with this number.
    Marker(u16),
    /// The guest was about to execute the instruction at this virtual address.
    Watched(u64),
}

/// What one core executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All instructions.
    pub instructions: u64,
    /// Those of them that were rounds of a loop that waits for another core.
    pub waits: u64,
    /// Those of them that lie in the addresses that were to be counted apart.
    pub apart: u64,
}

impl Counts {
    /// What was neither waiting nor to be counted apart.
    #[must_use]
    pub const fn work(self) -> u64 {
        self.instructions.saturating_sub(self.waits).saturating_sub(self.apart)
    }

    const fn since(self, earlier: Self) -> Self {
        Self {
            instructions: self.instructions.wrapping_sub(earlier.instructions),
            waits: self.waits.wrapping_sub(earlier.waits),
            apart: self.apart.wrapping_sub(earlier.apart),
        }
    }
}

/// The counts at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// What happened.
    pub what: What,
    /// On which core.
    pub core: usize,
    /// What each core had executed.
    pub counts: Vec<Counts>,
}

/// What each core executed between two points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The core on which it began.
    pub from: usize,
    /// The core on which it ended.
    pub to: usize,
    /// What each core executed.
    pub counts: Vec<Counts>,
}

/// A line of memory that one core wrote and another touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedLine {
    /// The physical address.
    pub address: u64,
    /// The cores that read it, a bit for each.
    pub readers: u64,
    /// The cores that wrote it.
    pub writers: u64,
    /// The first instruction that read it, or 0.
    pub read_at: u64,
    /// The first instruction that wrote it.
    pub written_at: u64,
}

/// All that the plugin wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How many cores there were.
    pub cores: usize,
    /// The points, in the order in which they happened.
    pub points: Vec<Point>,
    /// The shared lines that were shown.
    pub shared: Vec<SharedLine>,
    /// The addresses of the instructions that were followed one by one, for each time that the guest asked.
    pub traces: Vec<Vec<u64>>,
    /// How many lines were touched and how many shared, if the guest asked.
    pub sharing: Option<(u64, u64)>,
}

impl Log {
    /// Reads the plugin's file.
    ///
    /// # Errors
    /// When it is missing, damaged, or ends early.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).doing(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
    }

    /// Reads the plugin's lines.
    ///
    /// # Errors
    /// When they are damaged or end early.
    pub fn parse(text: &str) -> Result<Self> {
        let mut log = Self::default();
        let mut ended = false;
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            ended = fields == ["end"];
            let good = ended || log.take(&fields).is_some();
            if !good {
                return Err(Failure::new(format!("the plugin wrote a line that means nothing: {line:?}")));
            }
        }
        let early = || Failure::new("the plugin's file ends early: QEMU was killed, or the disk is full");
        ended.then_some(log).ok_or_else(early)
    }

    fn take(&mut self, fields: &[&str]) -> Option<()> {
        match *fields {
            ["cores", cores] => self.cores = cores.parse().ok()?,
            ["point", marker, ref rest @ ..] => self.point(What::Marker(marker.parse().ok()?), rest)?,
            ["watch", address, ref rest @ ..] => self.point(What::Watched(hexadecimal(address)?), rest)?,
            [
                "shared",
                address,
                "readers",
                readers,
                "writers",
                writers,
                "read-at",
                read,
                "written-at",
                written,
            ] => {
                self.shared.push(SharedLine {
                    address: hexadecimal(address)?,
                    readers: hexadecimal(readers)?,
                    writers: hexadecimal(writers)?,
                    read_at: hexadecimal(read)?,
                    written_at: hexadecimal(written)?,
                });
            }
            ["at", address] => self.traces.last_mut()?.push(hexadecimal(address)?),
            ["sharing", "lines", lines, "shared", shared] => {
                self.sharing = Some((lines.parse().ok()?, shared.parse().ok()?));
            }
            _ => return None,
        }
        Some(())
    }

    fn point(&mut self, what: What, fields: &[&str]) -> Option<()> {
        let ["core", core, "instructions", instructions, "waits", waits, "apart", apart] = *fields else {
            return None;
        };
        if what == What::Marker(FOLLOW) {
            self.traces.push(Vec::new());
        }
        let core = core.parse().ok().filter(|core| *core < self.cores)?;
        let (instructions, waits) = (self.numbers(instructions)?, self.numbers(waits)?);
        let counts = instructions.into_iter().zip(waits).zip(self.numbers(apart)?);
        let counts = counts.map(|((instructions, waits), apart)| Counts { instructions, waits, apart });
        self.points.push(Point { what, core, counts: counts.collect() });
        Some(())
    }

    /// A number for each core.
    fn numbers(&self, text: &str) -> Option<Vec<u64>> {
        let numbers: Vec<u64> =
            text.split(',').map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
        (numbers.len() == self.cores).then_some(numbers)
    }

    /// Every stretch from one event to the next that is the other, in order. An event that happens again before the
    /// other does begins anew.
    #[must_use]
    pub fn intervals(&self, from: What, to: What) -> Vec<Interval> {
        let mut begun: Option<&Point> = None;
        let mut intervals = Vec::new();
        for point in &self.points {
            if point.what == to
                && let Some(begin) = begun.take()
            {
                intervals.push(Interval::between(begin, point));
            }
            if point.what == from {
                begun = Some(point);
            }
        }
        intervals
    }
}

impl Interval {
    /// What happened from one point to a later one.
    #[must_use]
    pub fn between(begin: &Point, end: &Point) -> Self {
        let counts = end.counts.iter().zip(&begin.counts).map(|(end, begin)| end.since(*begin));
        Self { from: begin.core, to: end.core, counts: counts.collect() }
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "cores 2\n\
        watch 0x200000 core 0 instructions 5,0 waits 0,0 apart 0,0\n\
        point 1 core 0 instructions 10,2 waits 0,1 apart 0,0\n\
        point 1 core 0 instructions 20,2 waits 0,1 apart 0,0\n\
        point 2 core 1 instructions 25,9 waits 1,3 apart 2,0\n\
        point 2 core 1 instructions 30,9 waits 1,3 apart 2,0\n\
        shared 0x9000 readers 0x1 writers 0x2 read-at 0x10 written-at 0x20\n\
        sharing lines 7 shared 1\n\
        end\n";

    #[test]
    fn points_pair_up() {
        let log = Log::parse(TEXT).expect("it is well formed");
        let intervals = log.intervals(What::Marker(1), What::Marker(2));
        let counts = vec![
            Counts { instructions: 5, waits: 1, apart: 2 },
            Counts { instructions: 7, waits: 2, apart: 0 },
        ];
        assert_eq!(counts.iter().map(|counts| counts.work()).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(intervals, [Interval { from: 0, to: 1, counts }]);
        assert_eq!(log.intervals(What::Watched(0x20_0000), What::Marker(1)).len(), 1);
        assert_eq!(log.sharing, Some((7, 1)));
        assert_eq!(log.shared.first().map(|line| (line.address, line.writers)), Some((0x9000, 2)));
    }

    #[test]
    fn what_is_cut_short_or_damaged_is_refused() {
        assert!(Log::parse(TEXT.trim_end_matches("end\n")).is_err());
        assert!(Log::parse("").is_err());
        for damage in [
            "cores x\nend\n",
            "cores 2\npoint 1 core 2 instructions 1,1 waits 1,1 apart 0,0\nend\n",
            "cores 2\npoint 1 core 0 instructions 1 waits 1,1 apart 0,0\nend\n",
            "cores 2\npoint 1 core 0 instructions 1,1\nend\n",
        ] {
            assert!(Log::parse(damage).is_err(), "{damage:?}");
        }
    }
}
