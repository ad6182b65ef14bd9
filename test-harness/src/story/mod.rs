//! The story of a run, as its transcript tells it: pure, so that a recorded transcript is a test of it.
//!
//! [`idl::record`] lists the records that the supervisor writes. What is not listed there is skipped.

mod implied;
mod timeline;
mod verdict;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use idl::record::Record;

pub use timeline::{FREE, Span, Timeline};
pub use verdict::judge;

/// What a subOS did on one core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Which subOS.
    pub subos: String,
    /// On which core.
    pub core: u64,
    /// What it did, and how often, in the order in which the machine says it.
    pub counts: Vec<(String, u64)>,
}

impl Stat {
    /// How often it did this; a count that is not told is none.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.counts.iter().filter(|(known, _)| known == name).map(|(_, count)| count).sum()
    }
}

/// Growth of a count of a subOS over a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Which step, from 0.
    pub step: u64,
    /// Which subOS.
    pub subos: String,
    /// On which core, if it is one core's count.
    pub core: Option<u64>,
    /// What it was.
    pub before: u64,
    /// What it became.
    pub after: u64,
    /// How far its kernel's own count went meanwhile, if that is another.
    pub during: Option<u64>,
    /// The longest time between two of what it counts, in ticks, if it measures that.
    pub longest: Option<u64>,
}

/// What a line of the transcript tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The machine is up, with this many cores and MiB.
    Boot {
        /// Cores.
        cores: u64,
        /// MiB of memory.
        memory: u64,
    },
    /// A core has another owner.
    Core {
        /// Which core.
        core: u64,
        /// Who had it.
        from: String,
        /// Who has it.
        to: String,
    },
    /// A subOS has another amount of memory.
    Memory {
        /// Which subOS.
        subos: String,
        /// What it had, in MiB.
        from: u64,
        /// What it has, in MiB.
        to: u64,
    },
    /// A subOS printed whole lines.
    Output {
        /// Which subOS.
        subos: String,
        /// The lines.
        lines: Vec<String>,
    },
    /// Something about a step.
    Step {
        /// Its number.
        number: u64,
        /// `begin`, `ok` or `failed`.
        result: String,
        /// More about it.
        text: String,
    },
    /// A finding: of an audit, of the ledger, of the whole run.
    Finding {
        /// What was looked at.
        what: String,
        /// Whether all is well.
        good: bool,
        /// More about it.
        text: String,
    },
    /// A subOS ended of itself.
    Ended {
        /// Which subOS.
        subos: String,
        /// Its exit status.
        status: String,
    },
    /// A subOS's kernel or a server died.
    Epitaph {
        /// Which subOS.
        subos: String,
        /// How.
        text: String,
    },
    /// Something else about a subOS.
    Remark {
        /// Which subOS.
        subos: String,
        /// What.
        text: String,
    },
    /// A line for people.
    Text(String),
}

/// Everything that a transcript has told so far.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Who had what, when.
    pub timeline: Timeline,
    /// What each subOS printed.
    pub output: BTreeMap<String, Vec<u8>>,
    /// The last word on each step.
    pub steps: BTreeMap<u64, String>,
    /// How long each step took that is over, in ticks.
    pub took: BTreeMap<u64, u64>,
    /// Findings: what, whether good, more.
    pub findings: Vec<(String, bool, String)>,
    /// What each subOS did on each core.
    pub stats: Vec<Stat>,
    /// Who was seen to go on while which step was carried out.
    pub beats: Vec<Growth>,
    /// Who was seen at work on which core immediately before which step took it.
    pub busy: Vec<Growth>,
    /// Who has ended of itself, and the first step that it did not live to the end of.
    pub ended: BTreeMap<String, u64>,
    /// Who died and was built again.
    pub restarted: BTreeSet<String>,
    /// How many programs each subOS had no memory for.
    pub starved: BTreeMap<String, u64>,
    /// How often a server or a program of each subOS was said to have crashed.
    pub crashes: BTreeMap<String, u64>,
    /// What each subOS printed of its unfinished line.
    unfinished: BTreeMap<String, Vec<u8>>,
}

impl Story {
    /// Takes in a line, and says what it tells.
    pub fn tell(&mut self, line: &str) -> Option<Event> {
        let Some(record) = Record::parse(line) else {
            return (!line.trim().is_empty()).then(|| Event::Text(line.to_owned()));
        };
        let time = record.number("t");
        if let Some(time) = time {
            self.timeline.passes(time);
        }
        match record.name {
            "boot" => {
                let (cores, memory) = (record.number("cores")?, record.number("memory").unwrap_or(0));
                self.timeline.begins(time.unwrap_or(0), record.number("hz").unwrap_or(0));
                Some(Event::Boot { cores, memory })
            }
            "own" => {
                let (core, to) = (record.number("core")?, text(&record, "owner"));
                let from = self.timeline.owns(time?, core, &to);
                (from != to).then_some(Event::Core { core, from, to })
            }
            "mem" => {
                let (subos, chunks) = (text(&record, "subos"), record.number("chunks")?);
                if subos == FREE {
                    return None;
                }
                let from = self.timeline.holds(time?, &subos, chunks * 2);
                Some(Event::Memory { subos, from, to: chunks * 2 })
            }
            "out" => self.output(&record),
            "step" => {
                let (number, result) = (record.number("n")?, text(&record, "result"));
                if result == "begin" {
                    self.timeline.marks(time.unwrap_or(0), number);
                } else {
                    self.took.extend(self.timeline.since_mark(time?, number).map(|took| (number, took)));
                }
                self.steps.insert(number, result.clone());
                Some(Event::Step { number, result, text: text(&record, "text") })
            }
            "order" => {
                let (what, text) = (format!("ordered to {}", text(&record, "what")), text(&record, "text"));
                Some(Event::Finding { what, good: record.get("result")?.is("ok"), text })
            }
            "audit" | "ledger" | "test" => {
                let result = text(&record, "result");
                let more = if record.name == "test" { "message" } else { "text" };
                let (what, good) = (record.name.to_owned(), result == "ok" || result == "equal");
                self.findings.push((what.clone(), good, text(&record, more)));
                Some(Event::Finding { what, good, text: text(&record, more) })
            }
            "exit" => {
                let last = self.steps.last_key_value();
                let by = last.map_or(0, |(step, result)| if result == "begin" { *step } else { step + 1 });
                self.ended.entry(text(&record, "subos")).or_insert(by);
                Some(Event::Ended { subos: text(&record, "subos"), status: text(&record, "status") })
            }
            "epitaph" => Some(Event::Epitaph { subos: text(&record, "subos"), text: text(&record, "text") }),
            "crash" | "restart" | "resume" | "lot" | "core" | "beat" | "busy" | "missing" | "starved"
            | "asks" => {
                self.note(&record);
                Some(Event::Remark { subos: text(&record, "subos"), text: remark(&record) })
            }
            "refused" => {
                let why =
                    format!("moves nothing, because of {}: {}", text(&record, "part"), text(&record, "text"));
                Some(Event::Remark { subos: "supervisor".to_owned(), text: why })
            }
            "window" => Some(Event::Remark { subos: text(&record, "one"), text: window(&record) }),
            "stat" => {
                self.stat(&record);
                None
            }
            _ => None,
        }
    }

    fn output(&mut self, record: &Record<'_>) -> Option<Event> {
        let subos = text(record, "subos");
        let data: Vec<u8> = record.get("data")?.bytes().collect();
        self.output.entry(subos.clone()).or_default().extend(&data);
        let line = self.unfinished.entry(subos.clone()).or_default();
        line.extend(&data);
        let end = line.iter().rposition(|&byte| byte == b'\n')?;
        let rest = line.split_off(end + 1);
        let whole = std::mem::replace(line, rest);
        let lines = String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect();
        Some(Event::Output { subos, lines })
    }

    /// Keeps what is judged later.
    fn note(&mut self, record: &Record<'_>) {
        let subos = text(record, "subos");
        let growth = || {
            let (step, core, during) = (record.number("n")?, record.number("core"), record.number("during"));
            let (before, after) = (record.number("before")?, record.number("after")?);
            let longest = record.number("longest").filter(|longest| *longest > 0);
            Some(Growth { step, subos: subos.clone(), core, before, after, during, longest })
        };
        match record.name {
            "beat" => self.beats.extend(growth()),
            "busy" => self.busy.extend(growth()),
            "restart" => {
                self.restarted.insert(subos);
            }
            "starved" => {
                self.starved.insert(subos, record.number("times").unwrap_or(1));
            }
            "crash" => *self.crashes.entry(subos).or_default() += 1,
            _ => {}
        }
    }

    fn stat(&mut self, record: &Record<'_>) {
        let counts = record.fields().filter(|(key, _)| !["subos", "core", "t"].contains(key));
        let counts = counts.filter_map(|(key, value)| Some((key.to_owned(), value.number()?))).collect();
        let Some(core) = record.number("core") else { return };
        let subos = text(record, "subos");
        // What the kernel counted and what the subOS says of itself come in records of their own.
        match self.stats.iter_mut().find(|stat| stat.subos == subos && stat.core == core) {
            Some(stat) => stat.counts.extend::<Vec<_>>(counts),
            None => self.stats.push(Stat { subos, core, counts }),
        }
    }
}

/// A record about a subOS, in words.
fn remark(record: &Record<'_>) -> String {
    let value = |key| text(record, key);
    let count = |key| record.number(key).unwrap_or(0);
    match record.name {
        "crash" => {
            let place =
                format!("vector {}, address {}, rip {}", value("vector"), value("address"), value("rip"));
            match record.get("program") {
                None if record.get("text").is_some() => {
                    format!("crashed ({place}), {} times by now: {}", count("times"), value("text"))
                }
                Some(_) => format!(
                    "nobody looks after a thread that faulted ({place}); its output says why and with which registers; \
                     its first program is {}",
                    value("program")
                ),
                None => format!("a server crashed ({place}), {} times by now", count("times")),
            }
        }
        "missing" => {
            format!(
                "asked {} times for system call {}, which it does not have",
                count("times"),
                count("call")
            )
        }
        "asks" => match value("text").as_str() {
            "" => format!("asks for a window to {}", value("peer")),
            reason => format!("asks for a window to {} in vain: {reason}", value("peer")),
        },
        "starved" => format!("had no memory left, and ended {} programs for that by now", count("times")),
        "restart" => format!("is built again, {} times by now", count("times")),
        "resume" => format!(
            "goes on with step {}: it finds {} subOSes; {} {}",
            count("n") + 1,
            count("found"),
            value("order"),
            value("text")
        ),
        "lot" => format!(
            "says of its lot {}: {} pages looked at, {} of them not all zero",
            count("lot"),
            count("looked"),
            count("used")
        ),
        "core" => format!("says of core {}: {}", count("core"), value("answer")),
        "busy" => format!(
            "is at work on core {} until it is taken: {} from {} to {}",
            count("core"),
            value("by"),
            count("before"),
            count("after")
        ),
        _ => format!(
            "went on from {} to {} between the first and the last action of step {}, seen {} times",
            count("before"),
            count("after"),
            count("n") + 1,
            count("holds")
        ),
    }
}

/// What became of a window, in words.
fn window(record: &Record<'_>) -> String {
    let (one, other) = (text(record, "one"), text(record, "other"));
    let left = if record.number("lot").is_some() { &one } else { &other };
    match text(record, "state").as_str() {
        "open" => format!(
            "and {other} have a window, their lots {} and {}",
            text(record, "lot"),
            text(record, "peer")
        ),
        "half" => format!("and {other} share their window no more; {left} still has it"),
        _ => format!("and {other} have no window any more"),
    }
}

fn text(record: &Record<'_>, key: &str) -> String {
    let bytes: Vec<u8> = record.get(key).map(|value| value.bytes().collect()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_comes_in_pieces_and_is_told_by_lines() {
        let mut story = Story::default();
        assert_eq!(story.tell("@out subos=a data=hel"), None);
        let told = story.tell("@out subos=a data=lo%0Athere%0Aand");
        assert_eq!(
            told,
            Some(Event::Output { subos: "a".into(), lines: vec!["hello".into(), "there".into()] })
        );
        assert_eq!(story.output["a"], b"hello\nthere\nand");
    }

    #[test]
    fn a_core_that_keeps_its_owner_is_no_event() {
        let mut story = Story::default();
        assert!(story.tell("@own t=1 core=2 owner=a").is_some());
        assert_eq!(story.tell("@own t=2 core=2 owner=a"), None);
        let told = story.tell("@own t=3 core=2 owner=free");
        assert_eq!(told, Some(Event::Core { core: 2, from: "a".into(), to: "free".into() }));
    }

    #[test]
    fn of_a_crash_it_says_whose_program_it_was() {
        let mut story = Story::default();
        let mut words = |line: &str| match story.tell(line) {
            Some(Event::Remark { subos, text }) => format!("{subos} {text}"),
            other => panic!("{line} tells {other:?}"),
        };
        let server = words("@crash t=1 subos=a times=2 vector=14 address=0x8 rip=0x9");
        assert_eq!(server, "a a server crashed (vector 14, address 0x8, rip 0x9), 2 times by now");
        let first = words("@crash t=1 subos=a program=init times=1 vector=6 address=0x0 rip=0x9");
        assert!(first.contains("(vector 6, address 0x0, rip 0x9)"), "{first}");
        assert!(first.ends_with("its first program is init"), "{first}");
    }

    #[test]
    fn what_becomes_of_a_window_is_told() {
        let mut story = Story::default();
        let mut words = |line: &str| match story.tell(line) {
            Some(Event::Remark { subos, text }) => format!("{subos} {text}"),
            other => panic!("{line} tells {other:?}"),
        };
        assert_eq!(words("@asks t=1 subos=a peer=b"), "a asks for a window to b");
        let refused = words("@asks t=1 subos=a peer=b text=not%20so");
        assert_eq!(refused, "a asks for a window to b in vain: not so");
        let open = words("@window t=1 state=open one=a lot=1 other=b peer=2");
        assert_eq!(open, "a and b have a window, their lots 1 and 2");
        let half = words("@window t=1 state=half one=a lot= other=b peer=2");
        assert_eq!(half, "a and b share their window no more; b still has it");
        let closed = words("@window t=1 state=closed one=a lot= other=b peer=");
        assert_eq!(closed, "a and b have no window any more");
    }

    #[test]
    fn lines_for_people_and_damaged_records_are_text() {
        let mut story = Story::default();
        assert_eq!(story.tell("hello"), Some(Event::Text("hello".into())));
        assert_eq!(story.tell("@own core="), None);
        assert_eq!(story.tell("@own t=x"), None);
        assert_eq!(story.tell(""), None);
    }
}
