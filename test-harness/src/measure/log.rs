//! What the plugin wrote, read back.

use std::collections::BTreeMap;
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

/// What one core did with a line, and the instructions that did so first; 0 where none did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touches {
    /// Which core.
    pub core: usize,
    /// How often it read.
    pub reads: u64,
    /// How often it wrote.
    pub writes: u64,
    /// The first instruction that read.
    pub read_at: u64,
    /// The first instruction that wrote.
    pub written_at: u64,
}

/// What one core did in all while the plugin looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Which core.
    pub core: usize,
    /// How many lines it touched.
    pub lines: u64,
    /// How often it accessed memory.
    pub accesses: u64,
    /// How often an instruction of the upper half of the address space did, a kernel's.
    pub upper: u64,
}

/// What the plugin saw of memory from one marker to the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// The lines that one core wrote and another touched, by physical address, with what each did.
    pub shared: BTreeMap<u64, Vec<Touches>>,
    /// What each core did in all.
    pub touched: Vec<Touched>,
    /// How many lines were touched.
    pub lines: u64,
}

/// A stretch for which a core let no interrupt in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Which core.
    pub core: usize,
    /// How many instructions it executed, without rounds of loops that wait for another core.
    pub work: u64,
    /// Those rounds.
    pub waits: u64,
    /// The first instruction.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// How often which instructions were executed, those at which it was most.
    pub places: Vec<(u64, u64)>,
}

/// The stretches for which cores let no interrupt in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    /// The longest: of each place at which most of the time was spent, one.
    pub longest: Vec<Stretch>,
    /// How many there were.
    pub stretches: u64,
}

/// All that the plugin wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How many cores there were.
    pub cores: usize,
    /// The points, in the order in which they happened.
    pub points: Vec<Point>,
    /// The addresses of the instructions that were followed one by one, for each time that the guest asked.
    pub traces: Vec<Vec<u64>>,
    /// What was seen of memory, for each time that the guest asked.
    pub sharing: Vec<Sharing>,
    /// For how long no interrupt was let in.
    pub masked: Masked,
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
        let mut sharing = Sharing::default();
        let mut ended = false;
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            ended = fields == ["end"];
            let good = ended || log.take(&fields, &mut sharing).is_some();
            if !good {
                return Err(Failure::new(format!("the plugin wrote a line that means nothing: {line:?}")));
            }
        }
        let early = || Failure::new("the plugin's file ends early: QEMU was killed, or the disk is full");
        ended.then_some(log).ok_or_else(early)
    }

    fn take(&mut self, fields: &[&str], sharing: &mut Sharing) -> Option<()> {
        match *fields {
            ["cores", cores] => self.cores = cores.parse().ok()?,
            ["point", marker, ref rest @ ..] => self.point(What::Marker(marker.parse().ok()?), rest)?,
            ["watch", address, ref rest @ ..] => self.point(What::Watched(hexadecimal(address)?), rest)?,
            [
                "shared",
                address,
                "core",
                core,
                "reads",
                reads,
                "writes",
                writes,
                "read-at",
                r,
                "written-at",
                w,
            ] => {
                let touches = Touches {
                    core: self.core(core)?,
                    reads: reads.parse().ok()?,
                    writes: writes.parse().ok()?,
                    read_at: hexadecimal(r)?,
                    written_at: hexadecimal(w)?,
                };
                sharing.shared.entry(hexadecimal(address)?).or_default().push(touches);
            }
            ["touched", "core", core, "lines", lines, "accesses", accesses, "upper", upper] => {
                sharing.touched.push(Touched {
                    core: self.core(core)?,
                    lines: lines.parse().ok()?,
                    accesses: accesses.parse().ok()?,
                    upper: upper.parse().ok()?,
                });
            }
            ["at", address] => self.traces.last_mut()?.push(hexadecimal(address)?),
            ["masked", "core", core, "work", work, "waits", waits, "from", from, "to", to] => {
                self.masked.longest.push(Stretch {
                    core: self.core(core)?,
                    work: work.parse().ok()?,
                    waits: waits.parse().ok()?,
                    from: hexadecimal(from)?,
                    to: hexadecimal(to)?,
                    places: Vec::new(),
                });
            }
            ["within", address, count] => {
                let places = &mut self.masked.longest.last_mut()?.places;
                places.push((hexadecimal(address)?, count.parse().ok()?));
            }
            // Had an interrupt been let in within a stretch, the plugin would have been wrong about the flag.
            ["stretches", stretches, "wrong", "0"] => self.masked.stretches = stretches.parse().ok()?,
            ["sharing", "lines", lines, "shared", shared] => {
                sharing.lines = lines.parse().ok()?;
                let all = shared.parse() == Ok(sharing.shared.len());
                self.sharing.push(std::mem::take(sharing));
                return all.then_some(());
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
        let core = self.core(core)?;
        let (instructions, waits) = (self.numbers(instructions)?, self.numbers(waits)?);
        let counts = instructions.into_iter().zip(waits).zip(self.numbers(apart)?);
        let counts = counts.map(|((instructions, waits), apart)| Counts { instructions, waits, apart });
        self.points.push(Point { what, core, counts: counts.collect() });
        Some(())
    }

    /// The number of a core that there is.
    fn core(&self, text: &str) -> Option<usize> {
        text.parse().ok().filter(|core| *core < self.cores)
    }

    /// A number for each core.
    fn numbers(&self, text: &str) -> Option<Vec<u64>> {
        let numbers: Vec<u64> =
            text.split(',').map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
        (numbers.len() == self.cores).then_some(numbers)
    }

    /// The log cut into pieces: what lies between each event and the next that is the other.
    #[must_use]
    pub fn pieces(&self, from: What, to: What) -> Vec<Self> {
        let mut pieces: Vec<Self> = Vec::new();
        let mut inside = false;
        for point in &self.points {
            if point.what == from {
                inside = true;
                pieces.push(Self { cores: self.cores, ..Self::default() });
            } else if point.what == to {
                inside = false;
            } else if let Some(piece) = pieces.last_mut().filter(|_| inside) {
                piece.points.push(point.clone());
            }
        }
        pieces
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

    /// Counts nothing of cores that have no bit here.
    pub fn forget_all_but(&mut self, cores: u64) {
        for (core, counts) in self.counts.iter_mut().enumerate() {
            if cores >> core & 1 == 0 {
                *counts = Counts::default();
            }
        }
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
        shared 0x9000 core 0 reads 3 writes 0 read-at 0x10 written-at 0x0\n\
        shared 0x9000 core 1 reads 0 writes 2 read-at 0x0 written-at 0x20\n\
        touched core 1 lines 6 accesses 90 upper 4\n\
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
    }

    #[test]
    fn a_log_is_cut_at_its_markers() {
        let point = |marker| Point { what: What::Marker(marker), core: 0, counts: Vec::new() };
        let log = Log { points: [9, 20, 1, 2, 21, 7, 20, 3].map(point).to_vec(), ..Log::default() };
        let pieces = log.pieces(What::Marker(20), What::Marker(21));
        let markers: Vec<Vec<What>> =
            pieces.iter().map(|piece| piece.points.iter().map(|point| point.what).collect()).collect();
        assert_eq!(markers, [vec![What::Marker(1), What::Marker(2)], vec![What::Marker(3)]]);
    }

    #[test]
    fn what_was_seen_of_memory_is_put_together() {
        let log = Log::parse(TEXT).expect("it is well formed");
        let [sharing] = log.sharing.as_slice() else { panic!("one look: {:?}", log.sharing) };
        assert_eq!(sharing.lines, 7);
        assert_eq!(sharing.touched, [Touched { core: 1, lines: 6, accesses: 90, upper: 4 }]);
        let writes: Vec<_> = sharing.shared[&0x9000].iter().map(|by| (by.core, by.writes)).collect();
        assert_eq!(writes, [(0, 0), (1, 2)]);
    }

    #[test]
    fn stretches_are_read_with_where_they_were() {
        let text = "cores 1\nmasked core 0 work 5 waits 2 from 0x10 to 0x20\nwithin 0x18 3\nwithin 0x10 1\n\
                    masked core 0 work 4 waits 0 from 0x30 to 0x30\nstretches 9 wrong 0\nend\n";
        let masked = Log::parse(text).expect("it is well formed").masked;
        assert_eq!((masked.stretches, masked.longest.len()), (9, 2));
        let expected =
            Stretch { core: 0, work: 5, waits: 2, from: 16, to: 32, places: vec![(24, 3), (16, 1)] };
        assert_eq!(masked.longest.first(), Some(&expected));
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
            "cores 2\nwithin 0x10 3\nend\n",
            "cores 2\nstretches 9 wrong 1\nend\n",
            "cores 2\nsharing lines 3 shared 1\nend\n",
            "cores 2\ntouched core 2 lines 1 accesses 1 upper 0\nend\n",
        ] {
            assert!(Log::parse(damage).is_err(), "{damage:?}");
        }
    }
}
