//! The declarations as a whole, and that stubs and decoding agree.

use std::cell::Cell;
use std::vec::Vec;

use caps::Handle;
use proptest::prelude::*;

use super::*;
use crate::abi::{OpWord, ResultWord};
use crate::client::{Cap, Invoke};
use crate::method::Form;
use crate::types::{Badge, Deadline, PageIndex, Pages, Progress, UserPage};
use crate::word::Words;

/// Decodes what stubs encode and answers with fixed words.
struct Decoder {
    answer: (ResultWord, [u64; 5]),
    seen: Cell<Option<(Handle, Invocation, Deadline)>>,
}

impl Decoder {
    fn new(words: [u64; 5]) -> Self {
        Self { answer: (ResultWord::OK, words), seen: Cell::new(None) }
    }
}

impl Invoke for Decoder {
    fn invoke(
        &self,
        op: OpWord,
        handle: Handle,
        words: [u64; 5],
        deadline: Deadline,
        _: Handle,
    ) -> (ResultWord, Badge, [u64; 5]) {
        op.check().unwrap();
        let call = Invocation::decode(op.kind().unwrap(), op.method(), &words).unwrap();
        self.seen.set(Some((handle, call, deadline)));
        (self.answer.0, Badge(0), self.answer.1)
    }
}

#[test]
fn stubs_and_decoding_agree() {
    let kernel = Decoder::new([3, 0, 0, 0, 0]);
    let space = Cap::<address_space::AddressSpace, _>::with(Handle(7), &kernel);
    let address = UserPage::new(0x40_0000).unwrap();
    let done = space.map(Handle(9), PageIndex(2), address, Pages(3), Rights::READ);
    assert_eq!(done, Ok(Pages(3)));
    let call = address_space::Call::Map {
        binding: Handle(9),
        page: PageIndex(2),
        address,
        pages: Pages(3),
        rights: Rights::READ,
    };
    assert_eq!(kernel.seen.get(), Some((Handle(7), Invocation::AddressSpace(call), Deadline::NEVER)));

    let wait = Cap::<notification::Notification, _>::with(Handle(8), &kernel);
    wait.wait(Deadline(99)).unwrap();
    let expected = Invocation::Notification(notification::Call::Wait);
    assert_eq!(kernel.seen.get(), Some((Handle(8), expected, Deadline(99))));
}

#[test]
fn answers_encode_what_stubs_decode() {
    let info = untyped::UntypedInfo { size: 4096, used: 64 };
    assert_eq!(untyped::UntypedInfo::from_words(&info.to_words()), Ok(info));
    let kernel = Decoder::new(Progress::Done.to_words());
    assert_eq!(Cap::<untyped::Untyped, _>::with(Handle(1), &kernel).reset(), Ok(Progress::Done));
}

#[test]
fn every_refusal_reaches_the_caller() {
    for &error in Error::ALL {
        let mut kernel = Decoder::new([1; 5]);
        kernel.answer.0 = ResultWord::error(error);
        assert_eq!(Cap::<region::Region, _>::with(Handle(1), &kernel).info(), Err(error));
    }
}

#[test]
fn declarations_are_consistent() {
    for (kind, about, methods) in OBJECTS {
        assert!(!about.is_empty() && !methods.is_empty());
        let mut ids: Vec<u8> = methods.iter().map(|method| method.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), methods.len());
        for method in *methods {
            assert_eq!(method.kind, *kind);
            assert_eq!(required_rights(*kind, method.id), Ok(method.rights));
            assert!(method.arguments.len() <= 5 && method.results.len() <= 5);
        }
    }
    assert_eq!(required_rights(Kind::Empty, 1), Err(Error::UnknownMethod));
    assert_eq!(required_rights(Kind::Untyped, 0), Err(Error::UnknownMethod));
}

#[test]
fn a_decoded_call_is_small() {
    assert!(size_of::<Invocation>() <= 64);
}

#[test]
fn unused_words_must_be_zero() {
    for method in methods().filter(|method| method.form != Form::Message) {
        let mut words = [0; 5];
        if let Some(unused) = words.get_mut(method.arguments.len()) {
            *unused = 1;
            let refused = Invocation::decode(method.kind, method.id, &words);
            assert_eq!(refused, Err(Error::InvalidArgument), "{}", method.name);
        }
    }
}

proptest! {
    #[test]
    fn any_registers_decode_or_are_refused(kind in 0u8..16, method in 0u8..20, words: [u64; 5], mask: [bool; 5]) {
        let words: Vec<u64> = words.iter().zip(mask).map(|(word, keep)| if keep { *word } else { word & 7 }).collect();
        let words: [u64; 5] = words.try_into().unwrap();
        let kind = Kind::from_number(kind).unwrap();
        let decoded = Invocation::decode(kind, method, &words);
        prop_assert_eq!(decoded == Err(Error::UnknownMethod), required_rights(kind, method).is_err());
    }
}
