//! Small C programs in the personality: the same output and the same end as on this machine. They go
//! where busybox does not: threads, signal frames, shared memory, sockets, the dynamic loader.

mod support;

use support::program::{Linked, compile};

#[test]
fn hello_static() {
    compile("hello", Linked::Static).compare(1);
}

#[test]
fn hello_dynamic() {
    compile("hello", Linked::Dynamic).compare(1);
}

#[test]
fn threads() {
    compile("threads", Linked::Static).compare(3);
}

#[test]
fn threads_dynamic() {
    compile("threads", Linked::Dynamic).compare(2);
}

#[test]
fn signals() {
    compile("signals", Linked::Static).compare(1);
}

#[test]
fn memory() {
    compile("memory", Linked::Static).compare(1);
}

#[test]
fn files() {
    compile("files", Linked::Static).compare(1);
}

#[test]
fn hello_musl() {
    compile("hello", Linked::Musl).compare(1);
}

#[test]
fn threads_musl() {
    compile("threads", Linked::Musl).compare(3);
}

#[test]
fn signals_musl() {
    compile("signals", Linked::Musl).compare(1);
}

#[test]
fn memory_musl() {
    compile("memory", Linked::Musl).compare(1);
}

#[test]
fn files_musl() {
    compile("files", Linked::Musl).compare(1);
}
