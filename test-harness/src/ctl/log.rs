//! `ctl log`: what the supervisor wrote, as far as it remembers.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::Duration;

use idl::record::Record;
use serde_json::{Map, Value};

use super::{Control, failed};
use crate::failure::Result;

/// How long to rest when there is nothing new.
const NAP: Duration = Duration::from_millis(100);

/// Shows it: of one subOS, or of all.
pub(super) fn log(control: &Control, subos: Option<&str>, follow: bool, as_json: bool) -> Result<()> {
    let mut lines = Lines::default();
    let mut at = 0;
    let mut teller = Teller { subos: subos.map(str::to_owned), as_json, unfinished: BTreeMap::new() };
    loop {
        let part = control.client().log(at).map_err(|error| failed("read the log", error))?;
        if at != 0 && part.first > at {
            lines.lost();
        }
        at = part.first + part.bytes.len() as u64;
        for line in lines.take(&part.bytes) {
            for told in teller.tell(&line) {
                // Whoever looked at it may have seen enough and be gone.
                if writeln!(std::io::stdout(), "{told}").is_err() {
                    return Ok(());
                }
            }
        }
        if at < part.end {
            continue;
        }
        if !follow {
            return Ok(());
        }
        thread::sleep(NAP);
    }
}

/// Bytes that become lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The lines that are whole with these bytes.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend(bytes);
        let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.0.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }

    /// What came next was forgotten: a line that had begun has no end.
    fn lost(&mut self) {
        self.0.clear();
    }
}

/// What is told of a line.
struct Teller {
    subos: Option<String>,
    as_json: bool,
    /// What each subOS printed of a line that has no end yet.
    unfinished: BTreeMap<String, Vec<u8>>,
}

impl Teller {
    fn tell(&mut self, line: &str) -> Vec<String> {
        // The first line may be the end of one whose beginning is forgotten.
        let Some(record) = Record::parse(line) else { return Vec::new() };
        let text = |key: &str| -> Option<String> {
            record
                .get(key)
                .map(|value| String::from_utf8_lossy(&value.bytes().collect::<Vec<_>>()).into_owned())
        };
        let about = text("subos").or_else(|| text("owner"));
        if self.subos.is_some() && self.subos != about {
            return Vec::new();
        }
        if self.as_json {
            return vec![json(&record).to_string()];
        }
        match (record.name, about) {
            ("out", Some(subos)) => {
                let data: Vec<u8> = record.get("data").map_or_else(Vec::new, |value| value.bytes().collect());
                self.printed(subos, &data)
            }
            _ => vec![plain(&record)],
        }
    }

    /// What a subOS printed, line by line.
    fn printed(&mut self, subos: String, data: &[u8]) -> Vec<String> {
        let mut lines = Lines(self.unfinished.remove(&subos).unwrap_or_default());
        let told = lines.take(data).into_iter().map(|line| format!("{subos} | {line}")).collect();
        self.unfinished.insert(subos, lines.0);
        told
    }
}

/// A record for people: its name, and what its fields say.
fn plain(record: &Record<'_>) -> String {
    let fields = record.fields().map(|(key, value)| {
        let bytes: Vec<u8> = value.bytes().collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.contains(' ') { format!(" {key}={text:?}") } else { format!(" {key}={text}") }
    });
    std::iter::once(record.name.to_owned()).chain(fields).collect()
}

/// A record as JSON: numbers as numbers, all else as text.
fn json(record: &Record<'_>) -> Value {
    let mut fields = Map::new();
    fields.insert("record".to_owned(), record.name.into());
    for (key, value) in record.fields() {
        let bytes: Vec<u8> = value.bytes().collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        fields.insert(key.to_owned(), value.number().map_or_else(|| text.into(), Value::from));
    }
    fields.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn teller(subos: Option<&str>, as_json: bool) -> Teller {
        Teller { subos: subos.map(str::to_owned), as_json, unfinished: BTreeMap::new() }
    }

    #[test]
    fn lines_are_put_together_and_what_is_forgotten_is_left_out() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"@own core"), Vec::<String>::new());
        assert_eq!(lines.take(b"=1\n@mem"), ["@own core=1"]);
        lines.lost();
        assert_eq!(lines.take(b"s=3\n@exit subos=a\n"), ["s=3", "@exit subos=a"]);
    }

    #[test]
    fn records_are_told_in_words_of_one_or_of_all() {
        let mut all = teller(None, false);
        assert_eq!(all.tell("@own t=5 core=1 owner=echo"), ["own t=5 core=1 owner=echo"]);
        assert_eq!(
            all.tell("@order what=destroy%20echo result=ok"),
            ["order what=\"destroy echo\" result=ok"]
        );
        assert_eq!(all.tell("@out subos=echo data=one%0Atw"), ["echo | one"]);
        assert_eq!(all.tell("@out subos=echo data=o%0A"), ["echo | two"]);
        assert_eq!(all.tell("no record"), Vec::<String>::new());
        let mut one = teller(Some("batch"), false);
        assert_eq!(one.tell("@exit subos=echo status=0"), Vec::<String>::new());
        assert_eq!(one.tell("@exit subos=batch status=0"), ["exit subos=batch status=0"]);
        let told = teller(None, true).tell("@exit subos=batch status=0");
        assert_eq!(told, [r#"{"record":"exit","status":0,"subos":"batch"}"#]);
    }
}
