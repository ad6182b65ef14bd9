//! The wire formats: what was written is read back, and no bytes whatever make a reader panic.
#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use idl::bundle::{self, Bundle, BundleError, EntryKind, NewEntry};
use idl::program::{self, Program, ProgramError, Segment, SegmentFlags};
use idl::record::{Record, RecordWriter};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        Just(EntryKind::Program),
        Just(EntryKind::File),
        Just(EntryKind::Arguments),
        Just(EntryKind::Bundle)
    ]
}

fn written(entries: &[NewEntry<'_>]) -> Vec<u8> {
    let mut buffer = vec![0xff; bundle::size(entries)];
    let length = bundle::write(entries, &mut buffer).unwrap();
    assert_eq!(length, buffer.len());
    buffer
}

proptest! {
    #[test]
    fn a_bundle_comes_back_as_it_was_written(
        entries in btree_map("[!-~]{1,48}", (kind(), vec(any::<u8>(), 0..9000)), 0..20)
    ) {
        let new: Vec<_> =
            entries.iter().map(|(name, (kind, data))| NewEntry { name, kind: *kind, data }).collect();
        let bytes = written(&new);
        let bundle = Bundle::parse(&bytes).unwrap();
        prop_assert_eq!(bundle.entries().count(), new.len());
        for (entry, new) in bundle.entries().zip(&new) {
            prop_assert_eq!((entry.name, entry.kind, entry.data), (new.name, new.kind, new.data));
            prop_assert_eq!(entry.offset % bundle::PAGE, 0);
            prop_assert_eq!(bundle.find(new.name), Some(entry));
        }
    }

    #[test]
    fn a_damaged_bundle_never_panics(
        changes in vec((0usize..400, any::<u8>()), 0..8), cut in 0usize..20_000
    ) {
        let new = [
            NewEntry { name: "boot", kind: EntryKind::Program, data: &[1; 5000] },
            NewEntry { name: "args", kind: EntryKind::Arguments, data: b"hello" },
        ];
        let mut bytes = written(&new);
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes.truncate(cut);
        if let Ok(bundle) = Bundle::parse(&bytes) {
            for entry in bundle.entries() {
                prop_assert!(entry.offset + entry.data.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..6000)) {
        let _ = Bundle::parse(&bytes);
        let _ = Program::parse(&bytes, bytes.len() as u64);
        let _ = idl::plan::decode(&bytes);
    }

    #[test]
    fn an_image_comes_back_as_it_was_written(
        sizes in vec((1u64..100_000, 0u64..=100, 0u64..5), 1..=program::MAX_SEGMENTS), code in any::<u8>()
    ) {
        let (mut address, mut offset) = (program::LOWEST, program::PAGE);
        let code = usize::from(code) % sizes.len();
        let mut segments = Vec::new();
        for (index, (mem_len, percent, gap)) in sizes.into_iter().enumerate() {
            let flags = if index == code { SegmentFlags::EXECUTE } else { SegmentFlags::WRITE };
            let flags = flags | SegmentFlags::READ;
            let segment = Segment { address, offset, file_len: mem_len * percent / 100, mem_len, flags };
            address = segment.end() + gap * program::PAGE;
            offset += segment.file_len.next_multiple_of(program::PAGE);
            segments.push(segment);
        }
        let entry = segments[code].address + segments[code].mem_len - 1;
        let header = program::header(entry, &segments, offset).unwrap();
        let image = Program::parse(&header, offset).unwrap();
        prop_assert_eq!(image.segments(), &segments[..]);
        prop_assert_eq!(image.entry(), entry);
        let long_enough = segments.iter().all(|s| s.offset + s.file_len < offset);
        prop_assert!(long_enough || Program::parse(&header, offset - program::PAGE).is_err());
    }

    #[test]
    fn a_damaged_image_header_never_panics(changes in vec((8usize..program::HEADER_LEN, any::<u8>()), 0..12)) {
        let mut header = plain_header(SegmentFlags::READ | SegmentFlags::EXECUTE).unwrap();
        for (at, value) in changes {
            header[at] = value;
        }
        if let Ok(program) = Program::parse(&header, 8192) {
            for segment in program.segments() {
                prop_assert!(segment.offset + segment.file_len <= 8192);
                prop_assert!(segment.end() <= program::HIGHEST && segment.address >= program::LOWEST);
            }
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_written(
        name in "[a-z][a-z0-9_-]{0,12}",
        fields in vec(("[a-z0-9_-]{1,8}", vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let mut line = String::new();
        let mut writer = RecordWriter::begin(&mut line, &name).unwrap();
        for (key, value) in &fields {
            writer = writer.bytes(key, value).unwrap();
        }
        writer.end().unwrap();
        prop_assert_eq!(line.matches('\n').count(), 1);
        let record = Record::parse(&line).unwrap();
        prop_assert_eq!(record.name, name.as_str());
        let read: Vec<_> =
            record.fields().map(|(key, value)| (key.to_owned(), value.bytes().collect::<Vec<_>>())).collect();
        prop_assert_eq!(read, fields);
    }

    #[test]
    fn any_line_is_read_without_panic(line in "@?[a-z]{0,3}[ -~\\PC=%]{0,60}") {
        if let Some(record) = Record::parse(&line) {
            for (_, value) in record.fields() {
                let _ = (value.number(), value.bytes().count());
            }
        }
    }
}

fn plain_header(flags: SegmentFlags) -> Result<[u8; program::HEADER_LEN], ProgramError> {
    let segment = Segment { address: program::LOWEST, offset: 4096, file_len: 100, mem_len: 5000, flags };
    program::header(program::LOWEST, &[segment], 8192)
}

#[test]
fn a_bundle_refuses_what_does_not_fit() {
    let entry = |name| NewEntry { name, kind: EntryKind::File, data: b"x" };
    let long = "a".repeat(49);
    let mut buffer = vec![0; 64 * 4096];
    let mut write = |entries: &[NewEntry<'_>]| bundle::write(entries, &mut buffer).err();
    assert_eq!(write(&[entry("")]), Some(BundleError::BadName(0)));
    assert_eq!(write(&[entry("a b")]), Some(BundleError::BadName(0)));
    assert_eq!(write(&[entry("a"), entry("a")]), Some(BundleError::DuplicateName(1)));
    assert_eq!(write(&[entry(&long)]), Some(BundleError::BadName(0)));
    assert_eq!(write(&[entry("a"); bundle::MAX_ENTRIES + 1]), Some(BundleError::TooManyEntries));
    assert_eq!(bundle::write(&[entry("a")], &mut [0; 4096]).err(), Some(BundleError::BufferTooSmall));
}

#[test]
fn an_image_refuses_writable_code_and_an_entry_outside_code() {
    assert_eq!(plain_header(SegmentFlags::all()).err(), Some(ProgramError::BadFlags(0)));
    assert_eq!(plain_header(SegmentFlags::READ).err(), Some(ProgramError::BadEntry));
    assert_eq!(plain_header(SegmentFlags::empty()).err(), Some(ProgramError::BadFlags(0)));
    assert!(plain_header(SegmentFlags::EXECUTE).is_ok());
}

#[test]
fn a_line_for_people_is_not_a_record() {
    for line in
        ["", "@", "hello", "@own t", "@own  t=1", "@own t=1 ", "@Own t=1", "@own t=%4", "@own =1", "@own "]
    {
        assert_eq!(Record::parse(line), None, "{line:?}");
    }
    assert_eq!(Record::parse("@own\r\n").map(|r| r.name), Some("own"));
    let record = Record::parse("@own t=12 owner=a%20b=c").unwrap();
    assert_eq!(record.number("t"), Some(12));
    assert!(record.get("owner").unwrap().is("a b=c"));
}
