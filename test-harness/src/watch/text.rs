//! Steps as text: what was asked, what came of it, and the forest, with what changed marked.

use std::fmt::Write;

use super::{Change, Step};
use crate::check::show;

/// All steps.
#[must_use]
pub fn steps(steps: &[Step]) -> String {
    let mut text = String::new();
    let mut before: Option<&Step> = None;
    for (number, step) in (1..).zip(steps) {
        let _ = writeln!(text, "{number}. {}\n   {}", step.asked, step.answered);
        for effect in &step.effects {
            let _ = writeln!(text, "   the kernel is told: {effect}");
        }
        let changed = before.is_none_or(|before| before.tree != step.tree);
        if changed {
            tree(&mut text, step, before);
        }
        if let Some(ledger) = &step.ledger
            && before.and_then(|before| before.ledger.as_ref()) != Some(ledger)
        {
            show::ledger(ledger).lines().for_each(|line| {
                let _ = writeln!(text, "     {line}");
            });
        }
        text.push('\n');
        before = Some(step);
    }
    text
}

fn tree(text: &mut String, step: &Step, before: Option<&Step>) {
    for (at, depth) in step.rows(before) {
        let mark = match step.change(before, at) {
            Change::Same => ' ',
            Change::New => '+',
            Change::Other => '~',
            Change::Gone => '-',
        };
        let _ = writeln!(text, "   {mark} {:depth$}{}", "", step.describe(before, at), depth = 2 * depth);
    }
}
