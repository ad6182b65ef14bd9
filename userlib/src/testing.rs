//! For programs that test the machine: how a test ends.

use core::fmt::{self, Display};

use idl::record::RecordWriter;

use crate::console::{Writer, flush};
use crate::environment;

/// The machine's exit status for success.
pub const SUCCESS: u8 = 0x10;
/// The machine's exit status for a failed test.
pub const FAILURE: u8 = 0x11;

/// Reports the result of a test and ends the machine. For the program of subOS 0.
pub fn finish<E: Display>(result: Result<(), E>) -> ! {
    let mut writer = Writer::new();
    let status = if result.is_ok() { SUCCESS } else { FAILURE };
    // A console that does not take the record leaves the exit status to say it.
    #[cfg(feature = "observe")]
    let _ = crate::observe::report(&mut writer);
    let _ = report(&mut writer, result);
    flush(&mut writer);
    exit(status)
}

/// Writes to an address at which nothing is ever mapped: the thread faults.
///
/// # Panics
/// When something could be mapped there: from the start-up page on.
pub fn stray_write(address: u64) {
    assert!(address < idl::abi::STARTUP_PAGE, "{address:#x} may be mapped");
    crate::platform::stray_write(address);
}

fn report<E: Display>(out: &mut impl fmt::Write, result: Result<(), E>) -> fmt::Result {
    let record = RecordWriter::begin(out, "test")?;
    match result {
        Ok(()) => record.field("result", "ok")?.end(),
        Err(error) => record.field("result", "failed")?.field("message", error)?.end(),
    }
}

/// Marks this point for the counting plugin of the bench, which notes here how many instructions each core has
/// executed. A marker is not counted itself.
#[inline(always)]
pub fn mark<const ID: i32>() {
    crate::platform::mark::<ID>();
}

/// The marker from which on the plugin notes which core touches which line of memory, if it was asked to.
pub const SHARING_BEGIN: i32 = 0xfff0;
/// The marker up to which it does.
pub const SHARING_END: i32 = 0xfff1;

/// Ends the machine with this status. For the program of subOS 0.
pub fn exit(status: u8) -> ! {
    let _ = environment().console().exit(status);
    // Whoever may not end the machine ends itself.
    crate::thread::exit()
}

/// The text of a failed check.
#[must_use]
pub fn text(arguments: fmt::Arguments<'_>) -> alloc::string::String {
    alloc::fmt::format(arguments)
}

/// Fails the test, with a message, unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::testing::text(format_args!($($message)+)).into());
        }
    };
    ($condition:expr) => {
        $crate::check!($condition, "{}:{}: {}", file!(), line!(), stringify!($condition))
    };
}

/// Fails the test, with both values, unless they are equal.
#[macro_export]
macro_rules! check_eq {
    ($left:expr, $right:expr $(,)?) => {{
        let (left, right) = (&$left, &$right);
        $crate::check!(
            *left == *right,
            "{}:{}: {} is {:?}, not {:?}",
            file!(),
            line!(),
            stringify!($left),
            left,
            right
        );
    }};
    ($left:expr, $right:expr, $($message:tt)+) => {{
        let (left, right) = (&$left, &$right);
        $crate::check!(
            *left == *right,
            "{}: {} is {:?}, not {:?}",
            format_args!($($message)+),
            stringify!($left),
            left,
            right
        );
    }};
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    #[test]
    fn results_are_records() {
        let mut out = String::new();
        report(&mut out, Ok::<(), &str>(())).unwrap();
        report(&mut out, Err("two words")).unwrap();
        assert_eq!(out, "@test result=ok\n@test result=failed message=two%20words\n");
    }

    #[test]
    fn checks_say_what_differs() {
        fn test(value: u32) -> Result<(), String> {
            check_eq!(value, 2);
            check!(value < 10, "too large: {value}");
            Ok(())
        }
        assert_eq!(test(2), Ok(()));
        assert!(test(3).unwrap_err().ends_with("value is 3, not 2"));
    }
}
