//! Path walks: from a path's bytes to a node, over any [`Tree`].
//!
//! The walk reads and never changes; it follows path_resolution(7). Permission bits are not
//! checked, because every program runs as root.

use alloc::vec::Vec;

use super::Node;
use crate::error::{Errno, Result};
use crate::limits::{MAX_LINKS, NAME_MAX, PATH_MAX};

/// Where a symbolic link leads.
pub(crate) enum Link {
    /// To a path, walked from the link's directory.
    Path(Vec<u8>),
    /// Straight to a node, as the links of /proc do.
    Node(Node),
}

/// What a walk must know of a node.
pub(crate) enum Step {
    Directory,
    Link(Link),
    Leaf,
}

/// A tree that can be walked.
pub(crate) trait Tree {
    /// The node that `name` names in a directory.
    ///
    /// # Errors
    /// `ENOENT` when there is none.
    fn lookup(&self, directory: Node, name: &[u8]) -> Result<Node>;
    /// The directory above.
    fn parent(&self, directory: Node) -> Node;
    /// What the node is.
    fn step(&self, node: Node) -> Step;
}

/// Whether a symbolic link at the very end is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Follow,
    Keep,
}

/// How a walk ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The directory that has, or would have, the last name.
    pub(crate) directory: Node,
    /// The last name; empty when the path ends in `/`'s own root, `.` or `..`.
    pub(crate) name: Vec<u8>,
    /// The node, if it exists.
    pub(crate) node: Option<Node>,
    /// The path ended in a slash: it can only mean a directory.
    pub(crate) directory_only: bool,
}

impl Found {
    /// The node, or the error that says it is missing.
    pub(crate) fn existing(&self) -> Result<Node> {
        self.node.ok_or(Errno::ENOENT)
    }
}

/// Walks `path` from `start` (or from `root` if it begins with a slash).
///
/// # Errors
/// `ENOENT` for an empty path or a missing directory on the way, `ENOTDIR`, `ELOOP`, `ENAMETOOLONG`.
pub(crate) fn walk(tree: &impl Tree, root: Node, start: Node, path: &[u8], last: Last) -> Result<Found> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.len() >= PATH_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    // What is still to be walked, last component first.
    let mut rest: Vec<Vec<u8>> = Vec::new();
    let mut directory_only = push_components(&mut rest, path);
    let mut here = if path.starts_with(b"/") { root } else { start };
    let mut links = 0;
    let mut found = Found { directory: here, name: Vec::new(), node: Some(here), directory_only };
    while let Some(name) = rest.pop() {
        if !matches!(tree.step(here), Step::Directory) {
            return Err(Errno::ENOTDIR);
        }
        let at_end = rest.is_empty();
        if name == b"." || name == b".." {
            if name == b".." && here != root {
                here = tree.parent(here);
            }
            found = Found { directory: here, name: Vec::new(), node: Some(here), directory_only };
            continue;
        }
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let node = match tree.lookup(here, &name) {
            Ok(node) => node,
            Err(Errno::ENOENT) if at_end => {
                return Ok(Found { directory: here, name, node: None, directory_only });
            }
            Err(error) => return Err(error),
        };
        found = Found { directory: here, name, node: Some(node), directory_only };
        let follow = !at_end || last == Last::Follow || directory_only;
        match tree.step(node) {
            Step::Link(link) if follow => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP);
                }
                match link {
                    Link::Node(node) => {
                        found = Found { directory: here, name: Vec::new(), node: Some(node), directory_only };
                        here = node;
                    }
                    Link::Path(target) => {
                        if target.is_empty() {
                            return Err(Errno::ENOENT);
                        }
                        if target.starts_with(b"/") {
                            here = root;
                        }
                        let slash = push_components(&mut rest, &target);
                        directory_only |= at_end && slash;
                        found = Found { directory: here, name: Vec::new(), node: Some(here), directory_only };
                    }
                }
            }
            _ => here = node,
        }
    }
    if found.directory_only
        && let Some(node) = found.node
        && !matches!(tree.step(node), Step::Directory)
    {
        return Err(Errno::ENOTDIR);
    }
    Ok(found)
}

/// Stacks the components of `path` so that the first comes off first; says whether it ends in a slash.
fn push_components(stack: &mut Vec<Vec<u8>>, path: &[u8]) -> bool {
    let components = path.split(|&byte| byte == b'/').filter(|component| !component.is_empty());
    stack.extend(components.rev().map(<[u8]>::to_vec));
    path.ends_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::Ino;
    use alloc::vec;

    /// Nodes are indices; a node is a directory of names, a link, or a leaf.
    enum Naive {
        Directory(usize, Vec<(&'static str, usize)>),
        Link(&'static str),
        Leaf,
    }

    struct Fixture {
        nodes: Vec<Naive>,
        names: Vec<Ino>,
    }

    impl Fixture {
        fn new() -> Self {
            let nodes = vec![
                Naive::Directory(0, vec![("a", 1), ("abs", 4), ("loop", 6), ("f", 3), ("up", 7)]),
                Naive::Directory(0, vec![("b", 2), ("rel", 5), ("f", 3)]),
                Naive::Directory(1, vec![]),
                Naive::Leaf,
                Naive::Link("/a/b"),
                Naive::Link("b/../f"),
                Naive::Link("loop"),
                Naive::Link("a/b/"),
            ];
            let names = (1..=nodes.len()).map(Ino::for_tests).collect();
            Self { nodes, names }
        }

        fn node(&self, index: usize) -> Node {
            Node::Inode(self.names[index])
        }

        fn at(&self, node: Node) -> &Naive {
            &self.nodes[self.names.iter().position(|&ino| Node::Inode(ino) == node).expect("a node of ours")]
        }

        fn walk(&self, from: usize, path: &str, last: Last) -> Result<Option<Node>> {
            walk(self, self.node(0), self.node(from), path.as_bytes(), last).map(|found| found.node)
        }
    }

    impl Tree for Fixture {
        fn lookup(&self, directory: Node, name: &[u8]) -> Result<Node> {
            let Naive::Directory(_, entries) = self.at(directory) else { return Err(Errno::ENOTDIR) };
            let entry = entries.iter().find(|entry| entry.0.as_bytes() == name);
            entry.map(|&(_, index)| self.node(index)).ok_or(Errno::ENOENT)
        }
        fn parent(&self, directory: Node) -> Node {
            match self.at(directory) {
                Naive::Directory(parent, _) => self.node(*parent),
                _ => directory,
            }
        }
        fn step(&self, node: Node) -> Step {
            match self.at(node) {
                Naive::Directory(..) => Step::Directory,
                Naive::Link(target) => Step::Link(Link::Path(target.as_bytes().to_vec())),
                Naive::Leaf => Step::Leaf,
            }
        }
    }

    #[test]
    fn walks_as_path_resolution_says() {
        let tree = Fixture::new();
        let is = |index| Ok(Some(tree.node(index)));
        assert_eq!(tree.walk(0, "/", Last::Follow), is(0));
        assert_eq!(tree.walk(1, "b", Last::Follow), is(2));
        assert_eq!(tree.walk(2, "../../../..", Last::Follow), is(0));
        assert_eq!(tree.walk(0, "//a///b//", Last::Follow), is(2));
        assert_eq!(tree.walk(0, "abs", Last::Follow), is(2));
        assert_eq!(tree.walk(0, "abs", Last::Keep), is(4));
        assert_eq!(tree.walk(0, "abs/", Last::Keep), is(2));
        assert_eq!(tree.walk(0, "a/rel", Last::Follow), is(3));
        assert_eq!(tree.walk(0, "up", Last::Follow), is(2));
        assert_eq!(tree.walk(0, "a/none", Last::Follow), Ok(None));
        assert_eq!(tree.walk(0, "none/a", Last::Follow), Err(Errno::ENOENT));
        assert_eq!(tree.walk(0, "f/", Last::Follow), Err(Errno::ENOTDIR));
        assert_eq!(tree.walk(0, "f/x", Last::Follow), Err(Errno::ENOTDIR));
        assert_eq!(tree.walk(0, "loop", Last::Follow), Err(Errno::ELOOP));
        assert_eq!(tree.walk(0, "loop", Last::Keep), is(6));
        assert_eq!(tree.walk(0, "", Last::Follow), Err(Errno::ENOENT));
        assert_eq!(tree.walk(0, &"x".repeat(256), Last::Follow), Err(Errno::ENAMETOOLONG));
        assert_eq!(tree.walk(0, &"x/".repeat(2048), Last::Follow), Err(Errno::ENAMETOOLONG));
    }
}
