//! The families of states: what is chosen, two values for most things.

use caps::bounds::PAGE;
use caps::{Capability, Change, InFlight, Kind, Rights, SlotRef, State};

use super::{Chooser, Family, Header, Node, Plan};
use crate::game::FIRST;
use crate::operation::Operation;
use crate::small::{
    Generations, World, binding_operations, memory_operations, table_operations, tree_operations,
};
use crate::subject::Subject;

/// All families.
pub const FAMILIES: &[Family] = &[
    Family { name: "marks", world: World::tree, candidate: marks },
    Family { name: "authority", world: authority_world, candidate: authority },
    Family { name: "ages", world: World::aging_tree, candidate: ages },
    Family { name: "tables", world: table_world, candidate: tables },
    Family { name: "memory", world: memory_world, candidate: memory },
    Family { name: "bindings", world: binding_world, candidate: bindings },
];

/// The slot of the root table with this number.
fn slot(number: usize) -> SlotRef {
    FIRST.offset(u32::try_from(number + 1).unwrap_or(u32::MAX)).unwrap_or(FIRST)
}

/// Parents for so many capabilities: every ordered forest is among these.
fn shape(choose: &mut Chooser, count: usize) -> Vec<Option<usize>> {
    (0..count).map(|number| choose.pick(number + 1).checked_sub(1)).collect()
}

fn is_leaf(parents: &[Option<usize>], number: usize) -> bool {
    !parents.contains(&Some(number))
}

fn root_of(parents: &[Option<usize>], number: usize) -> usize {
    parents[number].map_or(number, |parent| root_of(parents, parent))
}

fn endpoint(number: usize) -> Capability {
    Capability::new(Kind::Endpoint, Rights::all(), (1 << 20) + 64 * number as u64, 64)
}

fn node(number: usize, parent: Option<usize>, says: Capability) -> Node {
    let state = if parent.is_some() { State::COPY } else { State::empty() };
    Node { parent, says, state, place: slot(number), generation: 0, used: 0 }
}

/// Endpoints and copies of them: being revoked or not, being deleted or not, in flight or not.
fn marks(choose: &mut Chooser, count: usize) -> Option<Plan> {
    let parents = shape(choose, count);
    let nodes = (0..count).map(|number| {
        let mut node = node(number, parents[number], endpoint(root_of(&parents, number)));
        node.state.set(State::REVOKING, choose.flip());
        node.state.set(State::DELETING, choose.flip());
        node.state.set(State::LOCKED, is_leaf(&parents, number) && choose.flip());
        node
    });
    Some(Plan { nodes: nodes.collect(), ..Plan::default() })
}

/// The same with all rights or few, a badge or none, watched or not.
fn authority(choose: &mut Chooser, count: usize) -> Option<Plan> {
    let parents = shape(choose, count);
    let mut nodes: Vec<Node> = Vec::new();
    for (number, &parent) in parents.iter().enumerate() {
        let mut node = node(number, parent, endpoint(root_of(&parents, number)));
        if let Some(parent) = parent {
            node.says = nodes[parent].says;
        }
        if node.says.rights == Rights::all() && choose.flip() {
            node.says.rights = FEW;
        }
        if node.says.badge == 0 && choose.flip() {
            node.says.badge = 1;
        }
        node.state.set(State::WATCHED, choose.flip());
        nodes.push(node);
    }
    Some(Plan { nodes, ..Plan::default() })
}

const FEW: Rights = Rights::CALL.union(Rights::DERIVE);

/// The same with slots that are new, nearly worn out, or (if free) worn out; in flight or not.
fn ages(choose: &mut Chooser, count: usize) -> Option<Plan> {
    let parents = shape(choose, count);
    let nodes = (0..count).map(|number| {
        let mut node = node(number, parents[number], endpoint(root_of(&parents, number)));
        node.generation = if choose.flip() { u32::MAX - 1 } else { 0 };
        node.state.set(State::LOCKED, is_leaf(&parents, number) && choose.flip());
        node
    });
    let nodes = nodes.collect();
    let aged = vec![(slot(count), [0, u32::MAX - 1, u32::MAX][choose.pick(3)])];
    Some(Plan { nodes, aged, ..Plan::default() })
}

/// Two tables of one slot each, endpoints, and copies, in the root table or in either of the two; what is first of a table
/// may be being deleted, what is not may be being revoked; either table standing, being swept, swept, or gone.
fn tables(choose: &mut Chooser, count: usize) -> Option<Plan> {
    let parents = shape(choose, count);
    let headers = [32, 40].map(SlotRef::new);
    let [Some(one), Some(two)] = headers else { return None };
    let headers = [one, two];
    let mut used = [false; 4];
    let mut nodes: Vec<Node> = Vec::new();
    for (number, &parent) in parents.iter().enumerate() {
        let mut node = node(number, parent, endpoint(number));
        match parent {
            Some(parent) => node.says = nodes[parent].says,
            None => {
                let object = choose.pick(3);
                if object < 2 {
                    node.says = Capability::new(Kind::CSpace, Rights::all(), headers[object].address(), 2);
                    if std::mem::replace(&mut used[object], true) {
                        return None;
                    }
                }
            }
        }
        let inside = choose.pick(3);
        if inside < 2 {
            node.place = headers[inside].offset(1)?;
            if std::mem::replace(&mut used[2 + inside], true) {
                return None;
            }
        }
        let first = parent.is_none() && node.says.kind == Kind::CSpace;
        if choose.flip() {
            node.state |= if first { State::DELETING } else { State::REVOKING };
        }
        if first && node.state.contains(State::DELETING) && choose.flip() {
            node.state |= State::ENLISTED;
        }
        nodes.push(node);
    }
    let mut plan = Plan { nodes, ..Plan::default() };
    for header in headers {
        let first =
            plan.nodes.iter().find(|node| node.parent.is_none() && node.says.object == header.address());
        let must = first.map(|node| node.state.contains(State::ENLISTED));
        let header = match (must, choose.pick(if must == Some(false) { 1 } else { 4 })) {
            (Some(false), _) => continue,
            (Some(true), 0) => return None,
            (None, 0) => continue,
            (_, 1) => Header { place: header, swept: 1, listed: true },
            (_, 2) => Header { place: header, swept: 2, listed: true },
            _ => Header { place: header, swept: 2, listed: false },
        };
        plan.headers.push(header);
    }
    if plan.headers.len() == 2 && choose.flip() {
        plan.headers.reverse();
    }
    Some(plan)
}

/// An Untyped of three pages; copies, regions and Untypeds of one page in it; each Untyped with some memory in use, being
/// reset or not, being revoked or not.
fn memory(choose: &mut Chooser, count: usize) -> Option<Plan> {
    let parents = shape(choose, count);
    let mut nodes: Vec<Node> = Vec::new();
    for (number, &parent) in parents.iter().enumerate() {
        let mut node = match parent {
            None if number > 0 => return None,
            None => node(number, None, Capability::new(Kind::Untyped, Rights::all(), 1 << 20, 3 * PAGE)),
            Some(above) => {
                let says = nodes[above].says;
                let made = if says.kind == Kind::Untyped { choose.pick(5) } else { 0 };
                match made {
                    0 => node(number, parent, says),
                    made => {
                        let kind = [Kind::Region, Kind::Untyped][made % 2];
                        let object = says.object + if made > 2 { PAGE } else { 0 };
                        let says = Capability::new(kind, Rights::all(), object, PAGE);
                        Node { state: State::empty(), ..node(number, parent, says) }
                    }
                }
            }
        };
        if node.says.kind == Kind::Untyped {
            if !node.state.contains(State::COPY) {
                let pages = node.says.size / PAGE;
                node.used = PAGE * choose.pick(if pages > 1 { 3 } else { 2 }) as u64;
                node.state.set(State::RESETTING, choose.flip());
            }
            node.state.set(State::REVOKING, choose.flip());
        }
        nodes.push(node);
    }
    Some(Plan { nodes, ..Plan::default() })
}

/// A region, two spaces, copies of them, and bindings, in any order in the lists of the spaces; a space may be being
/// deleted, a region being revoked.
fn bindings(choose: &mut Chooser, count: usize) -> Option<Plan> {
    let parents = shape(choose, count);
    let space = |number: u64| Capability::new(Kind::AddressSpace, Rights::all(), (2 + number) << 20, 1);
    let region = Capability::new(Kind::Region, Rights::all(), 1 << 20, PAGE);
    let roots = [region, space(0), space(1)];
    let mut used = [false; 3];
    let mut nodes: Vec<Node> = Vec::new();
    for (number, &parent) in parents.iter().enumerate() {
        let mut node = match parent {
            None => {
                let object = choose.pick(3);
                if std::mem::replace(&mut used[object], true) {
                    return None;
                }
                node(number, None, roots[object])
            }
            Some(above) => {
                let says = nodes[above].says;
                let made = match says.kind {
                    Kind::Region => choose.pick(3),
                    Kind::AddressSpace => 0,
                    _ => return None,
                };
                if made == 0 {
                    node(number, parent, says)
                } else {
                    let to = roots[made].object;
                    let bound = u16::try_from(number + 1).unwrap_or(1);
                    let says = Capability { kind: Kind::Binding, space: to, number: bound, ..says };
                    Node { state: State::empty(), ..node(number, parent, says) }
                }
            }
        };
        if node.says.kind != Kind::Binding && choose.flip() {
            let space = node.says.kind == Kind::AddressSpace;
            node.state |= if space { State::DELETING } else { State::REVOKING };
        }
        nodes.push(node);
    }
    Some(Plan { nodes, ..Plan::default() })
}

fn authority_world(slots: u32) -> World {
    World { operations: authority_operations, ..World::tree(slots) }
}

fn table_world(slots: u32) -> World {
    World { size: 48, operations: table_operations, ..World::tree(slots) }
}

fn memory_world(slots: u32) -> World {
    World { operations: memory_operations, ..World::tree(slots) }
}

fn binding_world(slots: u32) -> World {
    World { operations: binding_operations, generations: Generations::Ignored, ..World::tree(slots) }
}

/// Copies with all rights or few, with a badge or none; watches; and how these go.
fn authority_operations(world: &World, subject: &Subject) -> Vec<Operation> {
    let mut all = tree_operations(world, subject);
    all.retain(|operation| !matches!(operation, Operation::Derive { .. }));
    let free = all.iter().find_map(|operation| match operation {
        Operation::Move { dest, .. } => Some(*dest),
        _ => None,
    });
    for (at, slot) in subject.memory.occupied() {
        all.push(Operation::Watch { at });
        let ticket = InFlight { slot: at, generation: slot.generation() };
        all.push(Operation::Unlock { ticket });
        let Some(dest) = free else { continue };
        for rights in [Rights::all(), FEW, Rights::CALL] {
            for badge in [0, 1, 2].map(core::num::NonZeroU64::new) {
                let change = Change { badge, ..Change::rights(rights) };
                all.push(Operation::Derive { parent: at, dest, change });
            }
        }
    }
    all
}
