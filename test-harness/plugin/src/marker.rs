//! Markers: instructions that do nothing on any processor and that no compiler emits.
//!
//! A marker is `nopl MAGIC+id(%rax)`: the processor's long no-operation with a displacement of 32 bits. It touches
//! neither registers, nor flags, nor memory. Assemblers pad with such instructions too, but only with displacement 0.
//! The encoding is the same in 32-bit and in 64-bit mode; in 16-bit mode it takes the prefix 67.

/// What the upper half of a marker's displacement holds.
const MAGIC: u32 = 0x4d4b_0000;
/// From this number up to the two below, markers are *quiet*: of those that a core executes again and again, only the
/// first after each ordinary marker, of whatever core, is a point. What spins uses them.
const FIRST_QUIET: u16 = 0x8000;
/// From here on the plugin notes which core touches which memory.
pub(crate) const SHARING_BEGIN: u16 = 0xfff0;
/// Up to here.
pub(crate) const SHARING_END: u16 = 0xfff1;
/// From here on the plugin writes the address of each instruction that this core executes.
pub(crate) const PROFILE_BEGIN: u16 = 0xfff2;
/// Up to here.
pub(crate) const PROFILE_END: u16 = 0xfff3;

/// Whether a marker is quiet.
pub(crate) const fn is_quiet(number: u16) -> bool {
    number >= FIRST_QUIET && number < SHARING_BEGIN
}

/// Bytes of the longest instruction that is looked at.
pub(crate) const LOOKED_AT: usize = 8;

/// What an instruction means to the plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Just counted.
    Ordinary,
    /// Counted; how a core waits for another.
    Pause,
    /// Not counted: a marker with this number.
    Marker(u16),
}

/// Tells what an instruction means from its bytes, all of them.
pub(crate) fn meaning(bytes: &[u8]) -> Meaning {
    match *bytes {
        [0xf3, 0x90] => Meaning::Pause,
        [0x0f, 0x1f, 0x80, a, b, c, d] | [0x67, 0x0f, 0x1f, 0x80, a, b, c, d] => {
            let displacement = u32::from_le_bytes([a, b, c, d]);
            if displacement & 0xffff_0000 == MAGIC {
                Meaning::Marker(u16::from_le_bytes([a, b]))
            } else {
                Meaning::Ordinary
            }
        }
        _ => Meaning::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marker_is_one() {
        assert_eq!(meaning(&[0x0f, 0x1f, 0x80, 0x34, 0x12, 0x4b, 0x4d]), Meaning::Marker(0x1234));
        assert_eq!(meaning(&[0x0f, 0x1f, 0x80, 0, 0, 0, 0]), Meaning::Ordinary, "padding");
        assert_eq!(
            meaning(&[0x0f, 0x1f, 0x81, 0x34, 0x12, 0x4b, 0x4d]),
            Meaning::Ordinary,
            "another register"
        );
        assert_eq!(meaning(&[0x0f, 0x1f, 0x80, 0x34, 0x12, 0x4b]), Meaning::Ordinary, "cut short");
        assert_eq!(meaning(&[0x90]), Meaning::Ordinary);
        assert_eq!(meaning(&[0xf3, 0x90]), Meaning::Pause);
        assert_eq!(meaning(&[]), Meaning::Ordinary);
    }
}
