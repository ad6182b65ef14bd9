//! The plugin's arguments.

use std::path::PathBuf;

/// The most addresses that can be watched.
const MOST_WATCHED: usize = 8;

/// What the plugin was asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where to write.
    pub(crate) out: PathBuf,
    /// Virtual addresses of instructions that are points.
    pub(crate) watched: Vec<u64>,
    /// Virtual addresses, first and past the last, whose instructions are counted apart.
    pub(crate) apart: Vec<(u64, u64)>,
    /// Whether instructions can be followed one by one.
    pub(crate) profile: bool,
    /// Whether stretches are looked for in which no interrupt is let in.
    pub(crate) masked: bool,
    /// Where the entries of interrupts and exceptions begin.
    pub(crate) entries: Option<u64>,
    /// Where the kernel looks whether an interrupt waits.
    pub(crate) look: Option<u64>,
    /// Whether memory accesses are looked at.
    pub(crate) memory: bool,
    /// Whether instructions are counted.
    pub(crate) counts: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (watched, apart) = (Vec::new(), Vec::new());
        Self {
            out: PathBuf::new(),
            watched,
            apart,
            profile: false,
            masked: false,
            entries: None,
            look: None,
            memory: false,
            counts: true,
        }
    }
}

impl Options {
    /// Reads `key=value` arguments.
    pub(crate) fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut options = Self::default();
        for argument in arguments {
            match argument.split_once('=') {
                Some(("out", path)) => options.out = path.into(),
                Some(("watch", address)) => options.watched.push(number(address)?),
                Some(("apart", range)) => {
                    let (first, end) = range.split_once('-').ok_or("a range is FIRST-END")?;
                    options.apart.push((number(first)?, number(end)?));
                }
                Some(("profile", "on")) => options.profile = true,
                Some(("masked", "on")) => options.masked = true,
                Some(("entries", address)) => options.entries = Some(number(address)?),
                Some(("look", address)) => options.look = Some(number(address)?),
                Some(("memory", "on")) => options.memory = true,
                Some(("memory", "off")) => options.memory = false,
                Some(("counts", "on")) => options.counts = true,
                Some(("counts", "off")) => options.counts = false,
                _ => return Err(format!("unknown argument {argument:?}")),
            }
        }
        if options.out.as_os_str().is_empty() {
            return Err("the argument out=FILE is missing".to_owned());
        }
        if options.watched.len() > MOST_WATCHED {
            return Err(format!("more than {MOST_WATCHED} addresses to watch"));
        }
        Ok(options)
    }

    /// Whether an instruction at this address is counted apart.
    pub(crate) fn is_apart(&self, address: u64) -> bool {
        self.apart.iter().any(|(first, end)| (*first..*end).contains(&address))
    }
}

fn number(text: &str) -> Result<u64, String> {
    let read = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    read.map_err(|error| format!("{text:?} is no address: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_wrong_ones_refused() {
        let options =
            Options::parse(["out=/tmp/x", "watch=0x200000", "watch=16", "memory=on", "apart=0x10-0x20"]);
        let expected = Options {
            out: "/tmp/x".into(),
            watched: vec![0x20_0000, 16],
            apart: vec![(16, 32)],
            memory: true,
            ..Options::default()
        };
        assert!(expected.is_apart(31) && !expected.is_apart(32));
        assert_eq!(options, Ok(expected));
        assert!(Options::parse(["out=x", "apart=5"]).is_err());
        assert!(Options::parse(["out=x", "counts=off"]).is_ok_and(|options| !options.counts));
        let masked = Options::parse(["out=x", "masked=on", "entries=0x30", "look=0x40"]);
        let masked = masked.map(|options| (options.masked, options.entries, options.look));
        assert_eq!(masked, Ok((true, Some(0x30), Some(0x40))));
        assert!(Options::parse([]).is_err(), "no file");
        assert!(Options::parse(["out=x", "watch=here"]).is_err());
        assert!(Options::parse(["out=x", "verbose"]).is_err());
        assert!(Options::parse(["out=x"].into_iter().chain(["watch=1"; 9])).is_err(), "too many");
    }
}
