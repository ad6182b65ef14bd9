//! The rows of the table: what is measured, and the goal where there is one.

/// How a row's figure is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the guest, with the TSC, on a machine of one core.
    Clock,
    /// By the plugin: the sum of what each core executed on the way, without waiting, clearing and copying.
    Plugin,
    /// By what the kernel says of itself: bytes of memory.
    Memory,
    /// By looking at the kernel that is measured: its source and its image.
    Kernel,
}

impl Way {
    /// Whether the figure is a count of instructions.
    #[must_use]
    pub const fn counts_instructions(self) -> bool {
        matches!(self, Self::Clock | Self::Plugin)
    }
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
    /// Which figure is held against it.
    pub judged: Judged,
    /// How often it passes a path that the padded kernel makes longer: the null call, sending a message (that a caller's
    /// `call` begins with), a signal, a mapping, and the grant of a core. `None`: it begins wherever something else stands
    /// just then, or ends so, which a longer path shifts.
    pub passes: Option<u64>,
}

/// What is held against a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The median: all executions are alike, and the worst has an interrupt in it.
    Median,
    /// The worst: executions are made to differ.
    Worst,
}

const fn clock(key: &'static str, title: &'static str) -> Row {
    Row { key, title, way: Way::Clock, goal: None, judged: Judged::Median, passes: Some(0) }
}

const fn plugin(key: &'static str, title: &'static str) -> Row {
    Row { key, title, way: Way::Plugin, goal: None, judged: Judged::Median, passes: Some(0) }
}

const fn memory(key: &'static str, title: &'static str) -> Row {
    Row { key, title, way: Way::Memory, goal: None, judged: Judged::Median, passes: Some(0) }
}

const fn kernel(key: &'static str, title: &'static str) -> Row {
    Row { key, title, way: Way::Kernel, goal: None, judged: Judged::Median, passes: Some(0) }
}

impl Row {
    const fn goal(mut self, goal: u64) -> Self {
        self.goal = Some(goal);
        self
    }

    const fn passes(mut self, passes: u64) -> Self {
        self.passes = Some(passes);
        self
    }

    const fn worst(mut self) -> Self {
        self.judged = Judged::Worst;
        self
    }

    /// Its owner is told of it while it goes on, and takes signals as often as that happens to fall into it.
    const fn overheard(mut self) -> Self {
        self.passes = None;
        self
    }

    /// The compiler arranges its path otherwise when the padding is in it: 99 instructions more, not 100.
    const fn rearranged(mut self) -> Self {
        self.passes = None;
        self
    }

    /// Judged by its worst, which depends on where it finds something else.
    const fn wherever(mut self) -> Self {
        self.judged = Judged::Worst;
        self.passes = None;
        self
    }
}

/// Lines of the kernel's source.
pub const LINES: &str = "kernel-lines";
/// Bytes of the kernel's image.
pub const IMAGE: &str = "kernel-image";
/// From the kernel's first instruction to the first program's.
pub const BOOT: &str = "boot";
/// The longest stretch for which a core lets no interrupt in, in all of the bench.
pub const MASKED: &str = "masked";
/// By how many instructions the padded kernel makes a path longer.
pub const PADDING: u64 = 100;

/// Every row, in the order in which it is shown.
pub const ROWS: &[Row] = &[
    clock("null-call", "null system call").goal(80).passes(1),
    clock("call-one-way", "call, one way, to another address space").passes(1),
    clock("reply-one-way", "answer, one way, to another address space"),
    clock("round-trip", "round trip between two address spaces").goal(350).passes(1),
    clock("round-trip-long", "the same with 10 words each way").goal(800).passes(1),
    clock("typed", "round trip of an interface's method in registers").goal(385).passes(1),
    clock("typed-1k", "the same with a text of 1 KiB as bytes").passes(1),
    // One call, and one mapping of all pages.
    clock("typed-lent", "the same with 64 KiB of memory lent, mapped and taken back").passes(2),
    clock("signal", "signal a notification, no waiter").goal(180).passes(1),
    clock("signal-wake", "signal, until a waiter of higher priority runs").goal(400).passes(1),
    clock("switch", "context switch to another address space"),
    clock("retype", "retype one page").goal(400),
    clock("map", "map a page").goal(250).passes(1),
    clock("unmap", "unmap a page").goal(250),
    clock("copy", "derive a copy of a capability").goal(400),
    clock("delete", "delete the copy").goal(400),
    clock("revoke-each", "revoke, per descendant").goal(120),
    clock("delete-table", "delete an empty table of 256 slots").goal(2_000),
    clock("fault", "a fault handled in another address space, and back").goal(700).rearranged(),
    clock("guest", "enter a guest, a system call of it, leave"),
    plugin("doorbell", "doorbell, until a sleeping receiver runs").goal(2_500).passes(1),
    plugin("channel-send", "channel message of 64 bytes, the sender's side").goal(150),
    plugin("channel-receive", "the same, the side of a receiver that spins").goal(150),
    plugin("core-move", "forced core move: it spins in user mode").goal(10_000).worst().passes(1),
    plugin("core-move-guest", "the same: it sits in a guest").goal(10_000).wherever(),
    plugin("core-move-kernel", "the same: in long kernel operations").goal(10_000).wherever(),
    plugin("core-move-interrupts", "the same: with interrupts queued").goal(10_000).wherever(),
    plugin("core-move-halted", "the same: halted").goal(10_000).wherever(),
    plugin("core-move-lock", "the same: waiting for the kernel's lock").goal(10_000).wherever(),
    plugin("core-move-crowded", "the same: 24 ready threads, to another core").goal(30_000).wherever(),
    plugin("core-move-asked", "core move, asked for, from the request on").goal(3_000).wherever(),
    plugin("core-move-given", "the same, until it is given").wherever(),
    plugin("subos-create", "create a subOS, to its first instruction").goal(100_000).passes(1),
    plugin("subos-load", "load its program"),
    plugin("grant-64m", "grant a lot of 64 MiB"),
    plugin("grant-lot", "grant a lot of 248 MiB"),
    plugin("grant-1g", "grant a lot of 1 GiB").goal(10_000).overheard(),
    plugin("reclaim-64m", "forced reclaim of an untouched 64 MiB").goal(20_000).overheard(),
    plugin("reclaim-late", "the same, cleared when it is granted again").goal(20_000).overheard(),
    plugin("grant-late", "grant of that, which clears it").overheard(),
    plugin("reclaim-full", "forced reclaim of a 64 MiB full of life").wherever(),
    plugin("reclaim-step", "the same, each call").goal(5_000).wherever(),
    plugin("subos-destroy", "destroy a subOS of 2 cores and 256 MiB").goal(20_000),
    plugin("destroy-few", "the same, with 10 objects").goal(20_000),
    plugin("destroy-many", "the same, with 100,000 objects").goal(20_000),
    plugin(BOOT, "boot one core, to the first user instruction"),
    plugin(MASKED, "longest stretch with interrupts off, in all of these").goal(5_000).wherever(),
    // 64 KiB, and 32 KiB for the core, and 4 KiB for the one GiB that is touched.
    memory("kernel-memory", "kernel's memory for a subOS of one core, in bytes").goal(100 << 10),
    memory("kernel-memory-core", "the same for each core more, in bytes").goal(32 << 10),
    kernel(LINES, "kernel: lines of code without tests").goal(10_000),
    kernel(IMAGE, "kernel: the image in memory, in bytes").goal(512 << 10),
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
