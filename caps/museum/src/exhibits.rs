//! The bugs, most of them such as other kernels shipped, in the shape that they would have here.

use crate::{Exhibit, Home, Place};

const TABLE: &str = "table.rs";
const FOREST: &str = "forest/mod.rs";
const GROW: &str = "forest/grow.rs";
const LINK: &str = "forest/link.rs";
const PASS: &str = "forest/pass.rs";
const REMOVE: &str = "forest/remove.rs";
const RESET: &str = "forest/reset.rs";
const TRANSACT: &str = "ledger/transact.rs";
const PHASE: &str = "ledger/phase.rs";

/// A bug in `caps`: in this file, a text that is there once becomes another.
const fn in_caps(name: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Exhibit {
    Exhibit { name, home: Home::Caps(Place { file, from, to }, &[]) }
}

/// All of them, in the order of the page.
pub const EXHIBITS: &[Exhibit] = &[
    in_caps(
        "a parked message's capability survives a revoke",
        REMOVE,
        "        slots.slot_mut(at).empty();\n\n",
        "        if !state.contains(State::LOCKED) { slots.slot_mut(at).empty(); }\n\n",
    ),
    in_caps(
        "a swept sibling is still linked to an emptied slot",
        LINK,
        "        slots.slot_mut(next).previous = links.previous;\n    }\n    match (links.previous, links.parent) {\n        (Some(previous), _) => slots.slot_mut(previous).next = links.next,",
        "        let _ = next;\n    }\n    match (links.previous, links.parent) {\n        (Some(previous), _) => slots.slot_mut(previous).next = links.next,",
    ),
    in_caps(
        "memory is reused while a table in it is being swept",
        RESET,
        "slots.slot(untyped).first_child.is_some() || self.dying.is_some()",
        "slots.slot(untyped).first_child.is_some()",
    ),
    in_caps(
        "a table is used again while something in flight is in it",
        REMOVE,
        "is_some_and(|at| slots.slot(at).is_free());",
        "is_some_and(|at| slots.slot(at).is_free() || slots.slot(at).state.contains(State::LOCKED));",
    ),
    in_caps(
        "memory that was cleared is given back twice",
        RESET,
        "slot.word = slot.word.checked_sub(bytes).ok_or(Error::BadSize)?;",
        "slot.word = slot.word.checked_sub(bytes).ok_or(Error::BadSize)?.saturating_sub(bytes);",
    ),
    in_caps(
        "done is said while a table is not swept",
        REMOVE,
        "            self.remove_leaf(slots, root, work.effects);\n        }\n        self.sweep(slots, work)",
        "            self.remove_leaf(slots, root, work.effects);\n        }\n        Step::Done",
    ),
    in_caps(
        "a second revoke answers done while the object lives",
        REMOVE,
        "        self.mark_revoking(slots, root)?;\n",
        "        if slots.slot(root).state.contains(State::REVOKING) { return Ok(Step::Done); }\n        self.mark_revoking(slots, root)?;\n",
    ),
    in_caps(
        "memory is taken away while a table in it is being swept",
        REMOVE,
        "slot.kind == Kind::Untyped\n        || slot.capability()",
        "slot.capability()",
    ),
    in_caps(
        "what was begun to be deleted counts as alone",
        REMOVE,
        "!(begun || has_dependants",
        "!(has_dependants",
    ),
    // The constants are written out where they are used.
    in_caps(
        "two constants alias one bit",
        FOREST,
        "slot.state.insert(State::WATCHED);",
        "slot.state.insert(State::LOCKED);",
    )
    .and(&[
        Place {
            file: PASS,
            from: "slots.slot_mut(dest).state.remove(State::WATCHED);",
            to: "slots.slot_mut(dest).state.remove(State::LOCKED);",
        },
        Place {
            file: REMOVE,
            from: "state.contains(State::WATCHED).then_some",
            to: "state.contains(State::LOCKED).then_some",
        },
    ]),
    in_caps("the depth bound is off by one", GROW, ".depth + 1 >= MAX_DEPTH", ".depth + 1 > MAX_DEPTH"),
    in_caps(
        "rights asked for are not compared with the parent's",
        GROW,
        "contains(Rights::DERIVE | change.rights)",
        "contains(Rights::DERIVE)",
    ),
    in_caps(
        "anything can be derived from",
        GROW,
        "contains(Rights::DERIVE | change.rights)",
        "contains(change.rights)",
    ),
    in_caps("a badge can be set twice", GROW, " || capability.badge != 0", ""),
    in_caps("a part can reach beyond its region", GROW, "end > region.size", "end > region.size + PAGE"),
    in_caps(
        "the same memory is handed out twice",
        GROW,
        "slots.slot_mut(first).word = mark;",
        "let _ = (first, mark);",
    ),
    in_caps(
        "each copy of an Untyped has a watermark of its own",
        GROW,
        "let first = self.first_of(slots, untyped);",
        "let first = untyped;",
    ),
    in_caps("the alignment asked for is ignored", GROW, "align.max(granule)", "granule"),
    in_caps(
        "retype goes on during a reset",
        GROW,
        "let first = self.first_of(slots, untyped);\n        if slots.slot(first).state.contains(State::RESETTING) {",
        "let first = self.first_of(slots, untyped);\n        if false {",
    ),
    in_caps(
        "a binding outlives its address space",
        REMOVE,
        "if slot.kind == Kind::AddressSpace { slot.bound_next } else { None }",
        "None",
    ),
    in_caps("a binding that went is still listed by its space", REMOVE, "link::detach(slots, at);", ""),
    in_caps(
        "one dying table makes another forgotten",
        REMOVE,
        "header.next = self.dying.replace(table.first);",
        "self.dying = Some(table.first);",
    ),
    in_caps(
        "a swept table can be filled again before its object is gone",
        REMOVE,
        "self.dying = slots.slot_mut(header).next.take();",
        "self.dying = slots.slot_mut(header).next.take(); slots.slot_mut(header).state = State::empty();",
    ),
    in_caps("the last slot of a table is not swept", REMOVE, "position < count", "position + 1 < count"),
    in_caps(
        "what a thread holds outlives it",
        "capability.rs",
        "Self::Thread => THREAD_SLOTS,",
        "Self::Thread => 0,",
    ),
    in_caps(
        "waiters of a copied badge are cancelled with the copy",
        REMOVE,
        "kind.is_mintable() && badge != above",
        "kind.is_mintable() && badge != 0",
    ),
    in_caps("an object is torn down with a copy", REMOVE, "if !state.contains(State::COPY) {", "if true {"),
    in_caps(
        "the kernel does not hear of a lost capability",
        REMOVE,
        "state.contains(State::WATCHED).then_some",
        "false.then_some",
    ),
    in_caps(
        "lookups stay slow for ever",
        REMOVE,
        "            self.unmark(slots, at, mark);\n",
        "            let _ = mark;\n",
    ),
    in_caps("the budget is not used up", REMOVE, "self.left -= 1;", ""),
    in_caps(
        "effects are lost when there are many",
        REMOVE,
        "room < EFFECTS_PER_REMOVAL",
        "room == usize::MAX",
    ),
    in_caps(
        "a lookup does not see a revoke in progress",
        TABLE,
        "if self.is_removing() && self.is_cut(",
        "if false && self.is_cut(",
    ),
    in_caps(
        "a lookup does not see that its table is dying",
        TABLE,
        "table.is_dying(slots) || self.is_doomed(slots, at)",
        "self.is_doomed(slots, at)",
    ),
    in_caps("a stale handle works", TABLE, "slot.generation != handle.generation()", "false"),
    in_caps("the header of a table can be named", TABLE, "index.0 == 0 || ", ""),
    in_caps("a dying table takes new capabilities", TABLE, "if self.is_dying(slots) {", "if false {"),
    in_caps("a retired slot is used again", TABLE, "} else if slot.is_retired() {", "} else if false {"),
    in_caps("generations wrap", "handle.rs", "saturating_add(1)", "wrapping_add(1)"),
    in_caps(
        "only the parent's mark counts",
        FOREST,
        "            above = slot.parent;\n        }\n        false",
        "            above = None;\n        }\n        false",
    ),
    in_caps(
        "what is being revoked has new children",
        FOREST,
        "slot.state.contains(State::REVOKING) || self.is_doomed",
        "self.is_doomed",
    ),
    in_caps("what is in flight has children", FOREST, "return Err(Error::Locked);", ""),
    in_caps(
        "a flight lands although its authority is being revoked",
        PASS,
        "if self.is_doomed(slots, ticket.slot) {",
        "if false {",
    ),
    in_caps("an old ticket lands another capability", PASS, "slot.generation == ticket.generation && ", ""),
    in_caps(
        "a move leaves the old handle fresh",
        PASS,
        "slots.slot_mut(source).empty();",
        "let old = slots.slot(source).generation; *slots.slot_mut(source) = crate::Slot::free(old);",
    ),
    in_caps("a move forgets the children", PASS, "slot.first_child.is_some() || ", ""),
    in_caps("a watch goes along with a move", PASS, "slots.slot_mut(dest).state.remove(State::WATCHED);", ""),
    in_caps(
        "a reset takes memory that others use",
        RESET,
        "                return Err(Error::Busy);\n            }\n            at = parent;",
        "                at = parent;\n                continue;\n            }\n            at = parent;",
    ),
    in_caps(
        "a reset ends well although its Untyped fell with it",
        RESET,
        "if slots.slot(untyped).is_free() {\n            // It",
        "if false {\n            // It",
    ),
    in_caps(
        "memory that was cleared in part counts as clear",
        RESET,
        "if slot.word > 0 {",
        "if slot.word > crate::bounds::PAGE {",
    ),
    in_caps(
        "a failed transaction forgets to give the chunks back",
        TRANSACT,
        "self.chunks[chunk.position()] = ChunkEntry::Pool;",
        "let _ = chunk;",
    ),
    in_caps(
        "a failed transaction is kept up to the change that failed",
        TRANSACT,
        "self.undo(change, resource);",
        "let _ = (change, resource);",
    ),
    in_caps(
        "a core is granted that somebody has",
        TRANSACT,
        "if *holder != Holder::Pool {",
        "if *holder == Holder::Reserved {",
    ),
    in_caps("a home lot can be reclaimed", TRANSACT, "return Err(Error::HomeLot);", ""),
    in_caps(
        "anybody's lot can be reclaimed",
        TRANSACT,
        "Holder::SubOs(owner) if owner == from => {",
        "Holder::SubOs(_) => {",
    ),
    in_caps(
        "a run of chunks is one too short",
        TRANSACT,
        "match run.iter().rposition(",
        "match run[..run.len() - 1].iter().rposition(",
    ),
    in_caps("a resource can be named twice", TRANSACT, "if twice {", "if false {"),
    in_caps("two lots of a subOS have one seat", TRANSACT, "find(|&seat| !taken(seat))", "find(|_| true)"),
    in_caps(
        "memory is free before the cores have parked",
        PHASE,
        "return Err(Error::Busy);\n            }\n            if let Window",
        "}\n            if let Window",
    ),
    in_caps(
        "memory of a silent core's holder comes to the pool",
        PHASE,
        "return Err(Error::CoreSilent);",
        "",
    ),
    in_caps(
        "a quarantined core is forgotten",
        PHASE,
        "entry.silent = entry.silent.saturating_add(1);",
        "let _ = entry;",
    ),
    in_caps(
        "a lot is given up while its holder can use it",
        PHASE,
        "Resource::Lot(_) if phase == Phase::Revoking => return Err(Error::WrongState),",
        "",
    ),
    in_caps(
        "a window is free while the other side has it",
        PHASE,
        "self.leave(lot, other, Window::Alone);",
        "self.lots[usize::from(other)].window = Window::Alone; self.dissolve(lot, ChunkEntry::Pool);",
    ),
    in_caps(
        "a window that a silent core may use comes to the pool",
        PHASE,
        " || window == Window::Spoilt",
        "",
    ),
    in_caps(
        "a window is shared with a third",
        TRANSACT,
        "if window != Window::Alone {",
        "if window == Window::None {",
    ),
    in_caps(
        "a lot is free without being scrubbed",
        PHASE,
        "*self.holder_mut(resource)? = Holder::Leaving(from, Phase::Scrubbing);",
        "*self.holder_mut(resource)? = Holder::SubOs(from);",
    ),
    in_caps(
        "a destruction leaves what is being revoked behind",
        PHASE,
        "Holder::SubOs(owner) | Holder::Leaving(owner, Phase::Revoking) if owner == subos",
        "Holder::SubOs(owner) if owner == subos",
    ),
    in_caps(
        "a subOS is gone while it still has something",
        PHASE,
        "if self.resources_of(subos).next().is_some() {",
        "if false {",
    ),
    in_caps(
        "an old name of a subOS names the next one",
        PHASE,
        "subos.generation.saturating_add(1)",
        "subos.generation",
    ),
    in_caps(
        "an old name of a lot names the next one",
        PHASE,
        "lot.generation.saturating_add(1)",
        "lot.generation",
    ),
    Exhibit {
        name: "an endpoint's queue is emptied without a bound",
        home: Home::Kernel { case: "ipc::many_badges_go_at_once" },
    },
    Exhibit {
        name: "a notification is dropped on the way to who receives",
        home: Home::Kernel { case: "ipc::bound_notifications" },
    },
    Exhibit {
        name: "rights that a program's file asks for are ignored by who loads it",
        home: Home::Userlib(Place {
            file: "process.rs",
            from: "flags.contains(*flag)",
            to: "flags.contains(*flag) || true",
        }),
    },
];
