//! What the addresses of a program are called: of the calls that led to a panic, as `@crash` tells them.

use std::collections::BTreeMap;

use elf::ElfBytes;
use elf::endian::LittleEndian;
use idl::record::Record;

use crate::failure::{Doing, Failure, Result};

/// The functions of a program: where each begins, how long it is, its name.
#[derive(Clone, Debug, Default)]
pub struct Functions(BTreeMap<u64, (u64, String)>);

impl Functions {
    /// Those of an ELF file.
    ///
    /// # Errors
    /// When it is none, or has no symbols.
    pub fn of(elf: &[u8]) -> Result<Self> {
        let file = ElfBytes::<LittleEndian>::minimal_parse(elf).doing(|| "not an ELF file".to_owned())?;
        let table = file.symbol_table().ok().flatten();
        let (symbols, names) = table.ok_or_else(|| Failure::new("the program has no symbols"))?;
        let functions = symbols.iter().filter(|symbol| symbol.st_symtype() == elf::abi::STT_FUNC);
        let named = functions.filter_map(|symbol| {
            let name = names.get(usize::try_from(symbol.st_name).ok()?).ok()?;
            Some((symbol.st_value, (symbol.st_size, format!("{:#}", rustc_demangle::demangle(name)))))
        });
        Ok(Self(named.collect()))
    }

    /// The function that makes the call which would have returned to this address.
    #[must_use]
    pub fn caller(&self, back: u64) -> String {
        // A call that never returns may be the last instruction of its function.
        let call = back.wrapping_sub(1);
        let before = self.0.range(..=call).next_back();
        let within = before.filter(|(start, (size, _))| call - **start < *size);
        within
            .map_or_else(|| format!("{back:#x}"), |(start, (_, name))| format!("{name}+{:#x}", back - start))
    }
}

/// The addresses that a line of a transcript tells, innermost first, if it tells of a crash with its calls.
#[must_use]
pub fn told(line: &str) -> Vec<u64> {
    let record = Record::parse(line).filter(|record| record.name == "crash");
    let bytes = record.and_then(|record| Some(record.get("trace")?.bytes().collect::<Vec<u8>>()));
    let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
    let addresses = text.split(',').filter_map(|word| word.strip_prefix("0x"));
    addresses.filter_map(|digits| u64::from_str_radix(digits, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_named() {
        let line =
            "@crash subos=supervisor times=1 vector=6 address=0x0 rip=0x1 text=a%20b trace=0x2010,0x3000,0x9";
        assert_eq!(told(line), [0x2010, 0x3000, 9]);
        assert!(told("@crash subos=echo times=1 vector=6 address=0x0 rip=0x1").is_empty());
        assert_eq!(told("@crash trace=0xzz,,7,0x10"), [0x10]);
        assert!(told("trace=0x10").is_empty());
        let functions = [(0x2000, (0x10, "first")), (0x2ff0, (0x10, "last"))];
        let functions = functions.into_iter().map(|(at, (size, name))| (at, (size, name.to_owned())));
        let functions = Functions(functions.collect());
        assert_eq!(functions.caller(0x2010), "first+0x10");
        assert_eq!(functions.caller(0x3000), "last+0x10");
        assert_eq!(functions.caller(0x2011), "0x2011");
        assert_eq!(functions.caller(0), "0x0");
        assert!(Functions::of(b"no program").is_err());
    }
}
