//! What the kernel takes from `core::sync::atomic`, made of `loom`. Before each step the running core may die or be struck
//! by an interrupt, and the step is weaker than it says if a mutant was planted there: see [`crate::explore`].

use std::panic::Location;

use loom::sync::atomic as of_loom;

use crate::explore::{Weakness, before_step, count_spin, weakness};

pub use std::sync::atomic::Ordering;

/// Lets others go on.
pub fn spin_loop() {
    if !std::thread::panicking() {
        count_spin();
        loom::hint::spin_loop();
    }
}

/// A fence, unless a mutant took it away.
#[track_caller]
pub fn fence(order: Ordering) {
    match Step::begin(order) {
        Some(step) if step.weakness.is_none() => of_loom::fence(order),
        _ => {}
    }
}

/// How a step is made.
struct Step {
    order: Ordering,
    weakness: Option<Weakness>,
}

impl Step {
    /// None if the core that would make it is dead: what runs then are the destructors of what it left behind.
    #[track_caller]
    fn begin(order: Ordering) -> Option<Self> {
        if std::thread::panicking() {
            return None;
        }
        before_step();
        let weakness = weakness(Location::caller(), order);
        Some(Self { order: if weakness.is_some() { Ordering::Relaxed } else { order }, weakness })
    }

    fn is_torn(&self) -> bool {
        self.weakness == Some(Weakness::Torn)
    }
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        /// See the module.
        #[derive(Debug, Default)]
        pub struct $name(of_loom::$name);

        impl $name {
            /// With this value.
            #[must_use]
            pub fn new(value: $value) -> Self {
                Self(of_loom::$name::new(value))
            }

            /// As in `core`.
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                match Step::begin(order) {
                    Some(step) if step.weakness != Some(Weakness::Omitted) => self.0.load(step.order),
                    _ => <$value>::default(),
                }
            }

            /// As in `core`.
            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                match Step::begin(order) {
                    Some(step) if step.weakness != Some(Weakness::Omitted) => {
                        self.0.store(value, step.order);
                    }
                    _ => {}
                }
            }

            /// As in `core`.
            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.modify(order, |_| value, |step| self.0.swap(value, step.order))
            }

            /// As in `core`.
            #[track_caller]
            pub fn compare_exchange(
                &self,
                from: $value,
                to: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                match Step::begin(success) {
                    Some(step) if step.is_torn() => {
                        let found = self.0.load(Ordering::Acquire);
                        if found != from {
                            return Err(found);
                        }
                        self.0.store(to, Ordering::Release);
                        Ok(found)
                    }
                    Some(step) => self.0.compare_exchange(from, to, step.order, failure),
                    None => Err(from),
                }
            }

            #[track_caller]
            fn modify(
                &self,
                order: Ordering,
                change: impl FnOnce($value) -> $value,
                whole: impl FnOnce(Step) -> $value,
            ) -> $value {
                match Step::begin(order) {
                    Some(step) if step.is_torn() => {
                        let before = self.0.load(Ordering::Acquire);
                        self.0.store(change(before), Ordering::Release);
                        before
                    }
                    Some(step) if step.weakness != Some(Weakness::Omitted) => whole(step),
                    _ => <$value>::default(),
                }
            }
        }
    };
}

macro_rules! arithmetic {
    ($name:ident, $value:ty) => {
        impl $name {
            /// As in `core`.
            #[track_caller]
            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.modify(order, |it| it.wrapping_add(value), |step| self.0.fetch_add(value, step.order))
            }

            /// As in `core`.
            #[track_caller]
            pub fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                self.modify(order, |it| it.max(value), |step| self.0.fetch_max(value, step.order))
            }

            /// As in `core`.
            #[track_caller]
            pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.modify(order, |it| it | value, |step| self.0.fetch_or(value, step.order))
            }

            /// As in `core`.
            #[track_caller]
            pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                self.modify(order, |it| it & value, |step| self.0.fetch_and(value, step.order))
            }

            /// As in `core`.
            #[must_use]
            pub fn into_inner(self) -> $value {
                self.0.into_inner()
            }

            /// As in `core`, and never weak.
            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                from: $value,
                to: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(from, to, success, failure)
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
arithmetic!(AtomicU32, u32);
arithmetic!(AtomicU64, u64);
