//! All 27 properties, in a sentence each, with what the checks take for granted. The table in `docs/assurance.md` is made
//! of this and of what the tests that ran have recorded.

/// Something that must always hold.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its number: I1 to I27.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// What nothing here checks: what is assumed when it is said to hold.
    pub assumes: &'static str,
}

const fn property(number: u8, name: &'static str, assumes: &'static str) -> Property {
    Property { number, name, assumes }
}

/// All of them, in order.
pub const PROPERTIES: &[Property] = &[
    property(1, "well-founded", "only boot and the ledger plant"),
    property(2, "links symmetric", ""),
    property(3, "slots canonical", "memory that becomes a table is zero"),
    property(4, "no capability outside a slot", "the kernel names destinations by `Table::vacant`"),
    property(5, "no resurrection", "a slot's memory is cleared only by a reset"),
    property(6, "monotonic", ""),
    property(7, "confined", "memory that is planted is covered by nothing else"),
    property(8, "integrity", ""),
    property(9, "no confused deputy", "the kernel looks every argument up in its caller's own table"),
    property(10, "reply linear", "the kernel wakes the caller when a Reply is destroyed"),
    property(
        11,
        "exclusive",
        "what hardware can reach is what the ledger says: the kernel's audit looks at it on the target",
    ),
    property(12, "conserved", "nobody but the ledger's operations writes its entries"),
    property(13, "typed memory", "memory that is planted is covered by nothing else"),
    property(14, "own state only", "one `&mut Kernel` reaches nothing of another's; target cases attack it"),
    property(15, "immediate cut", "the kernel looks up before each use; what is mapped is cut at *done*"),
    property(16, "complete", "the kernel carries every effect out before it says *done*"),
    property(17, "bounded", "the kernel's work for an effect is bounded; its queues are not in the model"),
    property(18, "framed", ""),
    property(19, "restartable", "whoever began goes on, or somebody else does"),
    property(
        20,
        "mapped only by authority",
        "the kernel unmaps what it is told to: its audit looks on the target",
    ),
    property(
        21,
        "quiet before reuse",
        "a core that acknowledges has let go: the kernel's code between entry and acknowledgement",
    ),
    property(22, "scrubbed", "the kernel clears what it says it cleared, registers and devices included"),
    property(23, "refines", "the specification says what is meant"),
    property(24, "non-interfering", "caches, timing and the supervisor's decisions are declared channels"),
    property(25, "total", ""),
    property(26, "live", "whoever drives a reclaim goes on with it"),
    property(27, "wire", ""),
];
