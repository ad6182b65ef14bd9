//! A subOS that is good for nothing but to be killed: one thread never yields, another lets its timer expire all
//! the time. Whatever takes its core has to take it by force.
//!
//! `says=WORD,...` has it answer, though, when it is asked for a core, to each request with the next word: `given` and `needed`,
//! `nothing`, or `rubbish`. Whatever it says, it spins on.
#![no_std]
#![forbid(unsafe_code)]

use core::time::Duration;

use idl::dialogue::{CoreAnswer, Report, Request, Told};

/// How short the ticking thread sleeps.
pub const TICK: Duration = Duration::from_micros(50);

/// What it says next, if it is asked for a core by these words.
pub fn answer<'a>(words: &[u64; 5], says: &mut impl Iterator<Item = &'a str>) -> Option<[u64; 5]> {
    let Ok(Told::Supervisor(Request::GiveCore { core, deadline })) = Told::from_words(words) else {
        return None;
    };
    let report = |answer| Report::Core { core, deadline, answer }.to_words();
    match says.next()? {
        "given" => Some(report(CoreAnswer::Given)),
        "needed" => Some(report(CoreAnswer::Needed)),
        "rubbish" => {
            let [kind, core, ..] = report(CoreAnswer::Given);
            Some([kind, core, 0, u64::MAX, u64::MAX])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use idl::types::{CoreNumber, Ticks};

    #[test]
    fn it_answers_as_it_is_told() {
        let asked = Request::GiveCore { core: CoreNumber(3), deadline: Ticks(70) }.to_words();
        let mut says = "given,nothing,rubbish,needed".split(',');
        let mut said = || answer(&asked, &mut says).map(|words| Report::from_words(&words));
        let report = |answer| Some(Ok(Report::Core { core: CoreNumber(3), deadline: Ticks(70), answer }));
        assert_eq!(said(), report(CoreAnswer::Given));
        assert_eq!(said(), None);
        assert!(said().is_some_and(|report| report.is_err()));
        assert_eq!(said(), report(CoreAnswer::Needed));
        assert_eq!(said(), None, "nothing more to say");
        assert_eq!(answer(&Request::SayProgress {}.to_words(), &mut "given".split(',')), None);
    }
}
