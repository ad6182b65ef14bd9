//! What the plugin writes: a line for each event.
//!
//! ```text
//! cores 4
//! point 17 core 0 instructions 5120,0,311,0 waits 0,0,9,0 apart 0,0,0,0
//! watch 0x200000 core 0 instructions 91844,12,12,12 waits 0,0,0,0 apart 0,0,0,0
//! shared 0x3fe41000 core 0 reads 3 writes 0 read-at 0xffffffff80001234 written-at 0x0
//! shared 0x3fe41000 core 2 reads 1 writes 1 read-at 0xffffffff80001234 written-at 0xffffffff80005678
//! touched core 0 lines 702 accesses 90113 upper 4711
//! sharing lines 991 shared 1
//! masked core 0 work 4711 waits 12 from 0xffffffff80001040 to 0xffffffff80001234
//! within 0xffffffff80002222 900
//! stretches 12345 wrong 0
//! ```

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::counts;

/// The file, once the plugin is installed. A guest that never stops marking fills no disk.
static FILE: Mutex<Option<(BufWriter<File>, u64)>> = Mutex::new(None);
/// The most lines that are written.
const MOST_LINES: u64 = 1 << 22;

/// Creates the file.
pub(crate) fn open(path: &Path, cores: usize) -> std::io::Result<()> {
    let file = BufWriter::new(File::create(path)?);
    *FILE.lock().unwrap_or_else(PoisonError::into_inner) = Some((file, MOST_LINES));
    line(format_args!("cores {cores}"));
    Ok(())
}

/// Writes one line. An error of the disk shows as a file that ends early, which the harness notices.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    if let Some((file, left)) = FILE.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        && *left > 0
    {
        *left -= 1;
        let _ = writeln!(file, "{text}");
    }
}

/// Writes where a core is, and all counts.
pub(crate) fn counts(what: fmt::Arguments<'_>, core: u32, cores: usize) {
    let mut lists = [String::new(), String::new(), String::new()];
    for (number, counts) in counts::so_far(cores).enumerate() {
        let comma = if number == 0 { "" } else { "," };
        for (list, value) in lists.iter_mut().zip([counts.instructions, counts.waits, counts.apart]) {
            // Writing to a String cannot fail.
            let _ = write!(list, "{comma}{value}");
        }
    }
    let [instructions, waits, apart] = lists;
    line(format_args!("{what} core {core} instructions {instructions} waits {waits} apart {apart}"));
}

/// Writes the last line, `end`, and everything that is still on its way to the file.
pub(crate) fn close() {
    line(format_args!("end"));
    if let Some((mut file, _)) = FILE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = file.flush();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_log_holds_what_was_written_and_ends() {
        let path = std::env::temp_dir().join(format!("qemu-plugin-test-{}", std::process::id()));
        super::open(&path, 2).expect("the file can be made");
        super::counts(format_args!("point 7"), 1, 2);
        super::close();
        let text = std::fs::read_to_string(&path).expect("the file is there");
        std::fs::remove_file(&path).expect("the file is ours");
        assert_eq!(text, "cores 2\npoint 7 core 1 instructions 0,0 waits 0,0 apart 0,0\nend\n");
    }
}
