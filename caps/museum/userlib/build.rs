//! Weaves the bug into a copy of `userlib`.

fn main() {
    museum::weave::build(museum::Sources::Userlib);
}
