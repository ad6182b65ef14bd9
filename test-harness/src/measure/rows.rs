//! The rows of the table: what is measured, and the goal where there is one.

/// How a row's figure is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the guest, with the TSC, on a machine of one core.
    Clock,
    /// By the plugin: the sum of what each core executed on the way, without waiting, clearing and copying.
    Plugin,
}

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the guest calls it.
    pub key: &'static str,
    /// What people read.
    pub title: &'static str,
    /// How it is taken.
    pub way: Way,
    /// At most so many instructions are wanted.
    pub goal: Option<u64>,
}

const fn clock(key: &'static str, title: &'static str) -> Row {
    Row { key, title, way: Way::Clock, goal: None }
}

const fn plugin(key: &'static str, title: &'static str) -> Row {
    Row { key, title, way: Way::Plugin, goal: None }
}

impl Row {
    const fn goal(mut self, goal: u64) -> Self {
        self.goal = Some(goal);
        self
    }
}

/// From the kernel's first instruction to the first program's.
pub const BOOT: &str = "boot";
/// The row that the padded kernel makes longer.
pub const PADDED: &str = "null-call";
/// By how many instructions.
pub const PADDING: u64 = 100;

/// Every row, in the order in which it is shown.
pub const ROWS: &[Row] = &[
    clock("null-call", "null system call").goal(80),
    clock("call-one-way", "call, one way, to another address space"),
    clock("reply-one-way", "answer, one way, to another address space"),
    clock("round-trip", "round trip between two address spaces").goal(350),
    clock("round-trip-long", "the same with 10 words each way").goal(800),
    clock("typed", "round trip of an interface's method in registers").goal(385),
    clock("typed-1k", "the same with a text of 1 KiB as bytes"),
    clock("typed-lent", "the same with 64 KiB of memory lent, mapped and taken back"),
    clock("signal", "signal a notification, no waiter").goal(180),
    clock("signal-wake", "signal, until a waiter of higher priority runs").goal(400),
    clock("switch", "context switch to another address space"),
    clock("retype", "retype one page").goal(400),
    clock("map", "map a page").goal(250),
    clock("unmap", "unmap a page").goal(250),
    clock("copy", "derive a copy of a capability").goal(400),
    clock("delete", "delete the copy").goal(400),
    clock("revoke-each", "revoke, per descendant").goal(120),
    clock("delete-table", "delete an empty table of 256 slots").goal(2_000),
    clock("guest", "enter a guest, a system call of it, leave"),
    plugin("core-move", "forced core move between two subOSes").goal(10_000),
    plugin("subos-create", "create a subOS, to its first instruction").goal(100_000),
    plugin("subos-load", "load its program"),
    plugin("grant-lot", "grant a lot of 248 MiB"),
    plugin("subos-destroy", "destroy a subOS of 2 cores and 256 MiB").goal(20_000),
    plugin(BOOT, "boot one core, to the first user instruction"),
];

/// What is done again and again while there are more and more other subOSes.
pub const SCALE_ROWS: &[Row] = &[
    plugin("scale-null", "null system call of the supervisor"),
    plugin("scale-say", "a word to a subOS that sleeps, and its answer"),
    plugin("scale-ledger", "ask the ledger about a chunk"),
    plugin("scale-give-core", "give a core, until it sleeps there"),
    plugin("scale-take-core", "take it back"),
    plugin("scale-grant-lot", "grant a lot"),
    plugin("scale-take-lot", "take it back, cleared"),
    plugin("scale-create", "create a subOS, to its first instruction"),
    plugin("scale-load", "load its program"),
    plugin("scale-destroy", "destroy it"),
];

/// The row with this key.
#[must_use]
pub fn row(key: &str) -> Option<&'static Row> {
    ROWS.iter().chain(SCALE_ROWS).find(|row| row.key == key)
}
