//! From an ELF executable to a program image of [`idl::program`].

use elf::ElfBytes;
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;
use idl::program::{HEADER_LEN, PAGE, Segment, SegmentFlags, header};

use crate::failure::{Doing, Failure, Result};

/// Converts the bytes of an ELF executable.
pub(super) fn convert(elf: &[u8]) -> Result<Vec<u8>> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(elf).doing(|| "not an ELF file".to_owned())?;
    if file.ehdr.e_type != elf::abi::ET_EXEC || file.ehdr.e_machine != elf::abi::EM_X86_64 {
        return Err(Failure::new("not a statically linked x86_64 executable"));
    }
    let table = file.segments().ok_or_else(|| Failure::new("it has no segments"))?;
    let mut image = vec![0; usize::try_from(PAGE).unwrap_or(HEADER_LEN)];
    let mut segments = Vec::new();
    let mut loads: Vec<_> =
        table.iter().filter(|load| load.p_type == elf::abi::PT_LOAD && load.p_memsz > 0).collect();
    loads.sort_by_key(|load| load.p_vaddr);
    for load in loads {
        segments.push(append(&mut image, elf, &load)?);
    }
    let head = header(file.ehdr.e_entry, &segments, image.len() as u64)
        .doing(|| "its segments do not make a program image".to_owned())?;
    image.splice(..HEADER_LEN, head);
    Ok(image)
}

/// Appends a segment's data, from the beginning of its first page.
fn append(image: &mut Vec<u8>, elf: &[u8], load: &ProgramHeader) -> Result<Segment> {
    let lead = load.p_vaddr % PAGE;
    let range = usize::try_from(load.p_offset).ok().zip(usize::try_from(load.p_filesz).ok());
    let data = range.and_then(|(at, length)| elf.get(at..at.checked_add(length)?));
    let data = data.ok_or_else(|| Failure::new("a segment's data lies outside the file"))?;
    let offset = image.len() as u64;
    image.resize(image.len() + usize::try_from(lead).unwrap_or(0), 0);
    image.extend_from_slice(data);
    image.resize(image.len().next_multiple_of(usize::try_from(PAGE).unwrap_or(1)), 0);
    let flags = [
        (elf::abi::PF_R, SegmentFlags::READ),
        (elf::abi::PF_W, SegmentFlags::WRITE),
        (elf::abi::PF_X, SegmentFlags::EXECUTE),
    ];
    let flags = flags.into_iter().filter(|(bit, _)| load.p_flags & bit != 0).map(|(_, flag)| flag).collect();
    Ok(Segment {
        address: load.p_vaddr - lead,
        offset,
        file_len: load.p_filesz + lead,
        mem_len: load.p_memsz.saturating_add(lead),
        flags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header and program headers, by hand: type, machine, entry and (flags, address, data length, memory).
    fn elf(segments: &[(u32, u64, u64, u64)], entry: u64) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        for word in [entry, 64, 0] {
            bytes.extend(u64::to_le_bytes(word));
        }
        bytes.extend([0; 4]);
        let count = u16::try_from(segments.len()).expect("few segments");
        for half in [64, 56, count, 64, 0, 0] {
            bytes.extend(u16::to_le_bytes(half));
        }
        let mut at = 0x1000;
        for &(flags, address, file, memory) in segments {
            bytes.extend(u32::to_le_bytes(elf::abi::PT_LOAD));
            bytes.extend(u32::to_le_bytes(flags));
            for word in [at, address, address, file, memory, 0x1000] {
                bytes.extend(u64::to_le_bytes(word));
            }
            at += 0x1000;
        }
        bytes.resize(0x1000, 0);
        for index in 0..segments.len() {
            bytes.resize(bytes.len() + 0x1000, u8::try_from(index + 1).expect("few segments"));
        }
        bytes
    }

    #[test]
    fn an_executable_becomes_an_image() {
        let image = convert(&elf(&[(5, 0x20_0000, 0x800, 0x800), (6, 0x20_1000, 0x10, 0x5000)], 0x20_0010));
        let image = image.expect("it converts");
        let program = idl::program::Program::parse(&image, image.len() as u64).expect("it is an image");
        assert_eq!(program.entry(), 0x20_0010);
        let [code, data] = program.segments() else { panic!("two segments") };
        assert_eq!((code.address, code.file_len, code.flags.bits()), (0x20_0000, 0x800, 5));
        assert_eq!((data.address, data.mem_len, data.flags.bits()), (0x20_1000, 0x5000, 3));
        assert_eq!(image.get(usize::try_from(data.offset).expect("small")), Some(&2));
    }

    #[test]
    fn what_cannot_run_is_refused() {
        assert!(convert(b"not an elf").is_err());
        assert!(convert(&elf(&[(7, 0x20_0000, 1, 1)], 0x20_0000)).is_err(), "writable code");
        assert!(convert(&elf(&[(5, 0x1000, 1, 1)], 0x1000)).is_err(), "below the programs");
        assert!(convert(&elf(&[(5, 0x20_0000, 1, 1)], 0x30_0000)).is_err(), "entry outside");
        assert!(
            convert(&elf(&[(5, 0x20_0000, 8, 8), (6, 0x20_0008, 8, 8)], 0x20_0000)).is_err(),
            "shared page"
        );
    }
}
