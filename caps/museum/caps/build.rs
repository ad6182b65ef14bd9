//! Weaves the bugs into a copy of `caps`.

fn main() {
    museum::weave::build(museum::Sources::Caps);
}
