//! What the supervisor finds when it starts.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use idl::bundle::{self, Bundle};
use idl::plan::{self, Plan};
use userlib::Environment;

/// The files that it is to hand out, and the plan that lies among them.
///
/// # Errors
/// A text that says what is missing or malformed.
pub fn find_plan(environment: &Environment) -> Result<(Bundle<'static>, Box<Plan>), String> {
    let bytes = environment.files().map_err(|error| format!("no boot bundle: {}", error.name()))?;
    let files = Bundle::parse(bytes).map_err(|error| format!("the boot bundle: {error}"))?;
    let entry = files.find(bundle::PLAN).ok_or("the boot bundle has no plan")?;
    Ok((files, decode(entry.data)?))
}

/// A plan is large and a stack is not: away from its caller's frame, it goes to the heap at once.
#[inline(never)]
fn decode(bytes: &[u8]) -> Result<Box<Plan>, String> {
    plan::decode(bytes).map(Box::new).map_err(|error| format!("the plan: {error}"))
}
