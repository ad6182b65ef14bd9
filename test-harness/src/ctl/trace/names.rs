//! Names for what the kernel writes down as numbers.

use idl::abi::{NULL_CALL, OpWord};
use idl::kernel::OBJECTS;
use idl::trace::Happened;

/// What happened, by name.
pub(super) fn name(happened: Happened) -> String {
    match happened {
        Happened::Syscall(op, _) => method(op),
        Happened::Interrupt(_) => "interrupt".to_owned(),
        Happened::Fault(vector, _) => exception(vector),
        Happened::Arrived(_) => "joins a subOS".to_owned(),
        Happened::Woken(_) => "wakes".to_owned(),
        Happened::Visit(_) => "visit".to_owned(),
        Happened::VisitEnd(_) => "end of the visit".to_owned(),
    }
}

/// The same with its numbers.
pub(super) fn words(happened: Happened) -> String {
    let name = name(happened);
    match happened {
        Happened::Syscall(_, handle) => format!("{name} of slot {}", slot(handle)),
        Happened::Interrupt(vector) => format!("{name} {vector:#x}"),
        Happened::Fault(_, address) => format!("{name} at {address:#x}"),
        Happened::Arrived(subos) => format!("{name}: number {subos}"),
        Happened::Woken(pending) => format!("{name}: {pending:#x}"),
        Happened::Visit(subos) | Happened::VisitEnd(subos) => format!("{name} to subOS {subos}"),
    }
}

/// The slot that a handle names: its lower half.
pub(super) const fn slot(handle: u64) -> u64 {
    handle & 0xffff_ffff
}

/// A system call: the kind of object, and the method.
fn method(op: u64) -> String {
    if op == NULL_CALL {
        return "null call".to_owned();
    }
    let word = OpWord(op);
    let object = OBJECTS.iter().find(|(kind, ..)| kind.number() == word.kind_number());
    let method = |methods: &[idl::method::MethodInfo]| {
        methods.iter().find(|method| method.id == word.method()).map(|method| method.name)
    };
    match object {
        Some((kind, _, methods)) => match method(methods) {
            Some(method) => format!("{kind:?}.{method}"),
            None => format!("{kind:?}, method {}", word.method()),
        },
        // Programs of guests have system calls of their own.
        None => format!("call {op:#x}"),
    }
}

/// An exception, by what the manual calls it.
fn exception(vector: u64) -> String {
    let name = match vector {
        0 => "division error",
        1 => "debug exception",
        3 => "breakpoint",
        6 => "invalid opcode",
        7 => "device not available",
        12 => "stack fault",
        13 => "general protection fault",
        14 => "page fault",
        16 => "x87 error",
        17 => "alignment check",
        19 => "SIMD error",
        _ => return format!("exception {vector}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use caps::Kind;

    use super::*;

    #[test]
    fn every_declared_method_has_its_name() {
        for method in idl::kernel::methods() {
            let op = OpWord::new(method.kind, method.id).with_message(7, 3, 1).0;
            let name = name(Happened::Syscall(op, 0));
            assert_eq!(name, format!("{:?}.{}", method.kind, method.name));
        }
        let op = OpWord::new(Kind::Endpoint, 200).0;
        assert_eq!(name(Happened::Syscall(op, 0)), "Endpoint, method 200");
        assert_eq!(name(Happened::Syscall(u64::MAX, 0)), "call 0xffffffffffffffff");
        assert_eq!(words(Happened::Syscall(0, 5 | 9 << 32)), "null call of slot 5");
        assert_eq!(words(Happened::Fault(14, 0x1000)), "page fault at 0x1000");
        assert_eq!(name(Happened::Fault(99, 0)), "exception 99");
    }
}
