//! `ctl top`: what each subOS does on each core now.

mod sample;
mod screen;

use std::thread;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::Control;
use crate::failure::{Doing, Result};
use crate::say::show;

pub(super) use sample::Sample;

/// How long lies between two looks.
const INTERVAL: Duration = Duration::from_millis(1000);
/// The same, where only one difference is told.
const ONCE: Duration = Duration::from_millis(300);

/// Tells it once, as a table or as JSON.
pub(super) fn once(control: &Control, as_json: bool) -> Result<()> {
    let before = Sample::take(control)?;
    thread::sleep(ONCE);
    let rates = Sample::take(control)?.since(&before);
    if as_json {
        show(format_args!("{:#}", rates.value()))
    } else {
        show(rates.text())
    }
    Ok(())
}

/// Shows it on the whole terminal until `q`, Escape or Ctrl-C is pressed.
pub(super) fn live(control: &Control) -> Result<()> {
    let mut before = Sample::take(control)?;
    let mut rates = before.since(&before);
    let mut terminal = ratatui::try_init().doing(|| "cannot take the terminal".to_owned())?;
    let result = loop {
        if let Err(error) = terminal.draw(|frame| screen::draw(frame, &rates)) {
            break Err(error).doing(|| "cannot draw".to_owned());
        }
        match is_left(INTERVAL) {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(failure) => break Err(failure),
        }
        match Sample::take(control) {
            Ok(now) => {
                rates = now.since(&before);
                before = now;
            }
            // The machine has ended, most likely: the terminal is given back before that is said.
            Err(failure) => break Err(failure),
        }
    };
    ratatui::restore();
    result
}

/// Waits so long, or until a key is pressed that ends the view.
fn is_left(interval: Duration) -> Result<bool> {
    let broken = || "cannot read the keyboard".to_owned();
    let end = Instant::now() + interval;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || !event::poll(left).doing(broken)? {
            return Ok(false);
        }
        match event::read().doing(broken)? {
            Event::Key(key) if key.kind == KeyEventKind::Press => {
                let interrupts =
                    key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
                if interrupts || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
            // Another size: it is drawn anew at once.
            Event::Resize(..) => return Ok(false),
            _ => {}
        }
    }
}
