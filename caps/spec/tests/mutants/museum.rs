//! Bugs to plant, one at a time: most are bugs that other kernels shipped, in the shape that they would have here.

/// A bug: in a file of `caps/src`, one piece of text becomes another.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

const fn mutant(name: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Mutant {
    Mutant { name, file, from, to }
}

const TABLE: &str = "table.rs";
const SLOT: &str = "slot.rs";
const FOREST: &str = "forest/mod.rs";
const GROW: &str = "forest/grow.rs";
const LINK: &str = "forest/link.rs";
const PASS: &str = "forest/pass.rs";
const REMOVE: &str = "forest/remove.rs";
const RESET: &str = "forest/reset.rs";
const TRANSACT: &str = "ledger/transact.rs";
const PHASE: &str = "ledger/phase.rs";

/// Bugs that are not in `caps`, each with what is run against it. Their files are below the root.
pub(crate) const ELSEWHERE: &[(Mutant, Killer)] = &[
    (
        mutant(
            "an endpoint's queue is emptied without a bound",
            "microkernel/src/aftermath.rs",
            "for _ in 0..CANCEL_BUDGET {\n            match self.memory[endpoint].drain {",
            "for _ in 0..u32::MAX {\n            match self.memory[endpoint].drain {",
        ),
        Killer::Case("ipc::many_badges_go_at_once"),
    ),
    (
        mutant(
            "a notification is dropped on the way to who receives",
            "microkernel/src/ipc.rs",
            "if let Some(bits) = self.take_bound_bits(receiver) {",
            "if let Some(bits) = self.take_bound_bits(receiver).filter(|_| false) {",
        ),
        Killer::Case("ipc::bound_notifications"),
    ),
    (
        mutant(
            "rights that a program's file asks for are ignored by who loads it",
            "userlib/src/process.rs",
            "flags.contains(*flag)",
            "flags.contains(*flag) || true",
        ),
        Killer::Tests("userlib"),
    ),
];

/// What finds a bug that is not in `caps`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Killer {
    /// A target case.
    Case(&'static str),
    /// The unit tests of a package.
    Tests(&'static str),
}

pub(crate) const MUSEUM: &[Mutant] = &[
    mutant(
        "a parked message's capability survives a revoke",
        REMOVE,
        "        slots.slot_mut(at).empty();\n\n",
        "        if !state.contains(State::LOCKED) { slots.slot_mut(at).empty(); }\n\n",
    ),
    mutant(
        "a swept sibling is still linked to an emptied slot",
        LINK,
        "        slots.slot_mut(next).previous = links.previous;\n    }\n    match (links.previous, links.parent) {\n        (Some(previous), _) => slots.slot_mut(previous).next = links.next,",
        "        let _ = next;\n    }\n    match (links.previous, links.parent) {\n        (Some(previous), _) => slots.slot_mut(previous).next = links.next,",
    ),
    mutant(
        "memory is reused while a table in it is being swept",
        RESET,
        "slots.slot(untyped).first_child.is_some() || self.dying.is_some()",
        "slots.slot(untyped).first_child.is_some()",
    ),
    mutant(
        "a table is used again while something in flight is in it",
        REMOVE,
        "is_some_and(|at| slots.slot(at).is_free());",
        "is_some_and(|at| slots.slot(at).is_free() || slots.slot(at).state.contains(State::LOCKED));",
    ),
    mutant(
        "memory that was cleared is given back twice",
        RESET,
        "slot.word = slot.word.checked_sub(bytes).ok_or(Error::BadSize)?;",
        "slot.word = slot.word.checked_sub(bytes).ok_or(Error::BadSize)?.saturating_sub(bytes);",
    ),
    mutant(
        "done is said while a table is not swept",
        REMOVE,
        "            self.remove_leaf(slots, root, work.effects);\n        }\n        self.sweep(slots, work)",
        "            self.remove_leaf(slots, root, work.effects);\n        }\n        Step::Done",
    ),
    mutant(
        "a second revoke answers done while the object lives",
        REMOVE,
        "        self.mark_revoking(slots, root)?;\n",
        "        if slots.slot(root).state.contains(State::REVOKING) { return Ok(Step::Done); }\n        self.mark_revoking(slots, root)?;\n",
    ),
    mutant(
        "memory is taken away while a table in it is being swept",
        REMOVE,
        "slot.kind == Kind::Untyped\n        || slot.capability()",
        "slot.capability()",
    ),
    mutant(
        "what was begun to be deleted counts as alone",
        REMOVE,
        "!(begun || has_dependants",
        "!(has_dependants",
    ),
    mutant("two constants alias one bit", SLOT, "const WATCHED = 1 << 5;", "const WATCHED = 1 << 1;"),
    mutant("the depth bound is off by one", GROW, ".depth + 1 >= MAX_DEPTH", ".depth + 1 > MAX_DEPTH"),
    mutant(
        "rights asked for are not compared with the parent's",
        GROW,
        "contains(Rights::DERIVE | change.rights)",
        "contains(Rights::DERIVE)",
    ),
    mutant(
        "anything can be derived from",
        GROW,
        "contains(Rights::DERIVE | change.rights)",
        "contains(change.rights)",
    ),
    mutant("a badge can be set twice", GROW, " || capability.badge != 0", ""),
    mutant("a part can reach beyond its region", GROW, "end > region.size", "end > region.size + PAGE"),
    mutant(
        "the same memory is handed out twice",
        GROW,
        "slots.slot_mut(first).word = mark;",
        "let _ = (first, mark);",
    ),
    mutant(
        "each copy of an Untyped has a watermark of its own",
        GROW,
        "let first = self.first_of(slots, untyped);",
        "let first = untyped;",
    ),
    mutant("the alignment asked for is ignored", GROW, "align.max(granule)", "granule"),
    mutant(
        "retype goes on during a reset",
        GROW,
        "let first = self.first_of(slots, untyped);\n        if slots.slot(first).state.contains(State::RESETTING) {",
        "let first = self.first_of(slots, untyped);\n        if false {",
    ),
    mutant(
        "a binding outlives its address space",
        REMOVE,
        "if slot.kind == Kind::AddressSpace { slot.bound_next } else { None }",
        "None",
    ),
    mutant("a binding that went is still listed by its space", REMOVE, "link::detach(slots, at);", ""),
    mutant(
        "one dying table makes another forgotten",
        REMOVE,
        "header.next = self.dying.replace(table.first);",
        "self.dying = Some(table.first);",
    ),
    mutant(
        "a swept table can be filled again before its object is gone",
        REMOVE,
        "self.dying = slots.slot_mut(header).next.take();",
        "self.dying = slots.slot_mut(header).next.take(); slots.slot_mut(header).state = State::empty();",
    ),
    mutant("the last slot of a table is not swept", REMOVE, "position < count", "position + 1 < count"),
    mutant(
        "what a thread holds outlives it",
        "capability.rs",
        "Self::Thread => THREAD_SLOTS,",
        "Self::Thread => 0,",
    ),
    mutant(
        "waiters of a copied badge are cancelled with the copy",
        REMOVE,
        "kind.is_mintable() && badge != above",
        "kind.is_mintable() && badge != 0",
    ),
    mutant("an object is torn down with a copy", REMOVE, "if !state.contains(State::COPY) {", "if true {"),
    mutant(
        "the kernel does not hear of a lost capability",
        REMOVE,
        "state.contains(State::WATCHED).then_some",
        "false.then_some",
    ),
    mutant(
        "lookups stay slow for ever",
        REMOVE,
        "            self.unmark(slots, at, mark);\n",
        "            let _ = mark;\n",
    ),
    mutant("the budget is not used up", REMOVE, "self.left -= 1;", ""),
    mutant(
        "effects are lost when there are many",
        REMOVE,
        "room < EFFECTS_PER_REMOVAL",
        "room == usize::MAX",
    ),
    mutant(
        "a lookup does not see a revoke in progress",
        TABLE,
        "if self.is_removing() && self.is_cut(",
        "if false && self.is_cut(",
    ),
    mutant(
        "a lookup does not see that its table is dying",
        TABLE,
        "table.is_dying(slots) || self.is_doomed(slots, at)",
        "self.is_doomed(slots, at)",
    ),
    mutant("a stale handle works", TABLE, "slot.generation != handle.generation()", "false"),
    mutant("the header of a table can be named", TABLE, "index.0 == 0 || ", ""),
    mutant("a dying table takes new capabilities", TABLE, "if self.is_dying(slots) {", "if false {"),
    mutant("a retired slot is used again", TABLE, "} else if slot.is_retired() {", "} else if false {"),
    mutant("generations wrap", "handle.rs", "saturating_add(1)", "wrapping_add(1)"),
    mutant(
        "only the parent's mark counts",
        FOREST,
        "            above = slot.parent;\n        }\n        false",
        "            above = None;\n        }\n        false",
    ),
    mutant(
        "what is being revoked has new children",
        FOREST,
        "slot.state.contains(State::REVOKING) || self.is_doomed",
        "self.is_doomed",
    ),
    mutant("what is in flight has children", FOREST, "return Err(Error::Locked);", ""),
    mutant(
        "a flight lands although its authority is being revoked",
        PASS,
        "if self.is_doomed(slots, ticket.slot) {",
        "if false {",
    ),
    mutant("an old ticket lands another capability", PASS, "slot.generation == ticket.generation && ", ""),
    mutant(
        "a move leaves the old handle fresh",
        PASS,
        "slots.slot_mut(source).empty();",
        "let old = slots.slot(source).generation; *slots.slot_mut(source) = crate::Slot::free(old);",
    ),
    mutant("a move forgets the children", PASS, "slot.first_child.is_some() || ", ""),
    mutant("a watch goes along with a move", PASS, "slots.slot_mut(dest).state.remove(State::WATCHED);", ""),
    mutant(
        "a reset takes memory that others use",
        RESET,
        "                return Err(Error::Busy);\n            }\n            at = parent;",
        "                at = parent;\n                continue;\n            }\n            at = parent;",
    ),
    mutant(
        "a reset ends well although its Untyped fell with it",
        RESET,
        "if slots.slot(untyped).is_free() {\n            // It",
        "if false {\n            // It",
    ),
    mutant(
        "memory that was cleared in part counts as clear",
        RESET,
        "if slot.word > 0 {",
        "if slot.word > crate::bounds::PAGE {",
    ),
    mutant(
        "a failed transaction forgets to give the chunks back",
        TRANSACT,
        "self.chunks[chunk.position()] = ChunkEntry::Pool;",
        "let _ = chunk;",
    ),
    mutant(
        "a failed transaction is kept up to the change that failed",
        TRANSACT,
        "self.undo(change, resource);",
        "let _ = (change, resource);",
    ),
    mutant(
        "a core is granted that somebody has",
        TRANSACT,
        "if *holder != Holder::Pool {",
        "if *holder == Holder::Reserved {",
    ),
    mutant("a home lot can be reclaimed", TRANSACT, "return Err(Error::HomeLot);", ""),
    mutant(
        "anybody's lot can be reclaimed",
        TRANSACT,
        "Holder::SubOs(owner) if owner == from => {",
        "Holder::SubOs(_) => {",
    ),
    mutant("a run of chunks is one too short", TRANSACT, "if run == count {", "if run + 1 == count {"),
    mutant("a resource can be named twice", TRANSACT, "if twice {", "if false {"),
    mutant("two lots of a subOS have one seat", TRANSACT, "find(|&seat| !taken(seat))", "find(|_| true)"),
    mutant(
        "memory is free before the cores have parked",
        PHASE,
        "return Err(Error::Busy);\n            }\n            if let Window",
        "}\n            if let Window",
    ),
    mutant("memory of a silent core's holder comes to the pool", PHASE, "return Err(Error::CoreSilent);", ""),
    mutant(
        "a quarantined core is forgotten",
        PHASE,
        "entry.silent = entry.silent.saturating_add(1);",
        "let _ = entry;",
    ),
    mutant(
        "a lot is given up while its holder can use it",
        PHASE,
        "Resource::Lot(_) if phase == Phase::Revoking => return Err(Error::WrongState),",
        "",
    ),
    mutant(
        "a window is free while the other side has it",
        PHASE,
        "self.leave(lot, other, Window::Alone);",
        "self.lots[usize::from(other)].window = Window::Alone; self.dissolve(lot, ChunkEntry::Pool);",
    ),
    mutant(
        "a window that a silent core may use comes to the pool",
        PHASE,
        " || window == Window::Spoilt",
        "",
    ),
    mutant(
        "a window is shared with a third",
        TRANSACT,
        "if window != Window::Alone {",
        "if window == Window::None {",
    ),
    mutant(
        "a lot is free without being scrubbed",
        PHASE,
        "*self.holder_mut(resource)? = Holder::Leaving(from, Phase::Scrubbing);",
        "*self.holder_mut(resource)? = Holder::SubOs(from);",
    ),
    mutant(
        "a destruction leaves what is being revoked behind",
        PHASE,
        "Holder::SubOs(owner) | Holder::Leaving(owner, Phase::Revoking) if owner == subos",
        "Holder::SubOs(owner) if owner == subos",
    ),
    mutant(
        "a subOS is gone while it still has something",
        PHASE,
        "if self.resources_of(subos).next().is_some() {",
        "if false {",
    ),
    mutant(
        "an old name of a subOS names the next one",
        PHASE,
        "subos.generation.saturating_add(1)",
        "subos.generation",
    ),
    mutant(
        "an old name of a lot names the next one",
        PHASE,
        "lot.generation.saturating_add(1)",
        "lot.generation",
    ),
];
